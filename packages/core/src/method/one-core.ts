/**
 * Tells a method that was configured by another copy of this package. Two copies in one process
 * have two registries of configs and two classes of each kind, and would fail later, somewhere
 * else.
 */
import { PeftError } from '@peft/errors';
import type { MethodPart } from './peft-method.js';

/** In the registry of the process, so that every copy reads it; absent in parts made by hand. */
const CORE = Symbol.for('@peft/core');
const THIS_CORE = Object.freeze({});

/** Marks a part as configured by this copy. */
export const markPart = (part: MethodPart): MethodPart =>
  Object.freeze({ ...part, [CORE]: THIS_CORE });

/** @throws PEFT_CORE_DUPLICATE when another copy of `@peft/core` configured it. */
export function requireOwnCore(part: MethodPart): void {
  const core = (part as { readonly [CORE]?: object })[CORE];
  if (core === undefined || core === THIS_CORE) return;
  throw new PeftError(
    'PEFT_CORE_DUPLICATE',
    `core: the method ${part.method.name} was made with another copy of @peft/core than the model.`,
    {
      hint:
        'npm ls @peft/core shows both; methods take it as a peer, so one version that suits all ' +
        'and npm dedupe leave one',
    },
  );
}
