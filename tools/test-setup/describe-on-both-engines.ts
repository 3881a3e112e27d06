import type { MethodName, PeftMethod } from '@peft/core';
import { createNativeEngine } from '@peft/native';
import {
  describePeftMethod,
  onShapesInTurn,
  type MethodCase,
  type MethodContractOptions,
} from '@peft/testing';
import { describe } from 'vitest';

const isLong = process.env['PEFT_LONG_TESTS'] === '1';

/**
 * A method's contract on both engines: all forms on the native one, and on the portable one the
 * first of them on one shape; on all with `PEFT_LONG_TESTS=1`.
 */
export function describeOnBothEngines<Name extends MethodName>(
  method: PeftMethod<Name>,
  cases: readonly MethodCase<Name>[],
  options: Pick<MethodContractOptions<Name>, 'badOptions'> = {},
): void {
  describe('on the native engine', () =>
    describePeftMethod(method, cases, {
      ...options,
      createEngine: () => createNativeEngine({ precision: 'float32' }),
    }));
  // another shape for another method, the same in every run
  const some = isLong ? cases : onShapesInTurn(cases.slice(0, 1), method.name.length);
  describe('on the portable engine', () => describePeftMethod(method, some));
}
