/**
 * The methods as the cases need them: where PEFT 0.21 computes something wrong, what it computes.
 */
import { definePeftMethod } from '@peft/core';
import { allMethods, type NamedMethod } from '@peft/methods';
import { c3a } from '@peft/spectral';

/** PEFT's gradient of C3A's input is that of another kernel. */
const c3aOfPeft = definePeftMethod<'c3a'>({
  ...c3a,
  name: 'c3a',
  fromPeftConfig: (json) => ({ ...c3a.fromPeftConfig!(json), inputGradient: 'peft-0.21' }),
});

export const methods: readonly NamedMethod[] = allMethods.map((method) =>
  method.name === 'c3a' ? c3aOfPeft : method,
);
