/**
 * The addon for tests: each suite runs once for every set of instructions that the processor has.
 */
import { afterAll, describe } from 'vitest';
import { loadBinding } from '../src/binding/load-binding.js';
import type { InstructionSet } from '../src/binding/machine.js';
import type { NativeBinding } from '../src/binding/native-binding.js';

export const addon: NativeBinding | undefined = (() => {
  try {
    return loadBinding();
  } catch {
    return undefined;
  }
})();

/**
 * How many random cases a property is tried on: a third of them, all with `PEFT_LONG_TESTS=1`. The
 * number goes into the test's name.
 */
export const randomCases = (all: number): number =>
  process.env['PEFT_LONG_TESTS'] === '1' ? all : Math.ceil(all / 3);

/** What is reported where the addon was not compiled. */
const title = addon ? '' : ' (skipped: the addon was not compiled)';

const chosen = addon?.info().instructionSet;

/** Runs a suite for each set of instructions. */
export function describeEachSet(
  name: string,
  suite: (native: NativeBinding, set: InstructionSet) => void,
): void {
  for (const set of addon?.info().instructionSets ?? ['portable' as const]) {
    describe.skipIf(!addon)(`${name} with ${set}${title}`, () => {
      // the process goes on with other files
      afterAll(() => {
        addon!.setInstructionSet(chosen!);
        addon!.setThreads(0);
      });
      suite(addon!, set);
    });
  }
}

/** Seeded uniform numbers in [−1, 1). */
export function randomFloats(length: number, seed: number, scale = 1): Float32Array {
  let state = (seed * 2654435761 + 1) >>> 0;
  const values = new Float32Array(length);
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = ((state >>> 8) / 2 ** 23 - 1) * scale;
  }
  return values;
}

/** The largest |a − b|, relative to 1 + |b|. NaN counts as infinitely far. */
export function distance(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  length = expected.length,
): number {
  let worst = 0;
  for (let i = 0; i < length; i += 1) {
    const difference = Object.is(actual[i], expected[i])
      ? 0
      : Math.abs(actual[i]! - expected[i]!) / (1 + Math.abs(expected[i]!));
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
  }
  return worst;
}
