/**
 * A vitest matcher for numbers that agree up to rounding: |actual − expected| ≤ atol +
 * rtol·|expected|, element by element.
 */
import type { Tensor } from '@tensorflow/tfjs';

/** Two numbers are close when |a − b| ≤ atol + rtol·|b|, as numpy's `allclose` says. */
export interface Tolerance {
  /** Default 1e-6. */
  readonly atol?: number;
  /** Default 1e-5. */
  readonly rtol?: number;
}

/** A tensor, an array of numbers (nested ones are flattened), or one number. */
export type Numbers = Tensor | ArrayLike<number> | readonly Numbers[] | number;

/**
 * For `expect.extend({ toBeAllclose })`: compares shapes where both sides are tensors, then every
 * element; a failure names the worst. NaN equals NaN, an infinity equals itself.
 */
export function toBeAllclose(
  actual: Numbers,
  expected: Numbers,
  { atol = 1e-6, rtol = 1e-5 }: Tolerance = {},
): { pass: boolean; message: () => string } {
  if (isTensor(actual) && isTensor(expected) && actual.shape.join() !== expected.shape.join()) {
    return {
      pass: false,
      message: () =>
        `shapes differ: got [${actual.shape.join(', ')}], expected [${expected.shape.join(', ')}]`,
    };
  }
  const got = flatten(actual);
  const wanted = flatten(expected);
  if (got.length !== wanted.length)
    return { pass: false, message: () => `got ${got.length} numbers, expected ${wanted.length}` };
  let worst = -1;
  let worstExcess = 0;
  let failures = 0;
  for (let i = 0; i < got.length; i += 1) {
    const excess = excessOf(got[i]!, wanted[i]!, atol, rtol);
    if (excess > 0) failures += 1;
    if (excess > worstExcess) [worst, worstExcess] = [i, excess];
  }
  return {
    pass: failures === 0,
    message: () =>
      failures === 0
        ? `expected some number to differ by more than atol ${atol} + rtol ${rtol}`
        : `${failures} of ${got.length} numbers differ by more than atol ${atol} + rtol ${rtol}; ` +
          `worst at ${worst}: got ${got[worst]}, expected ${wanted[worst]}`,
  };
}

/** How far beyond the tolerance; infinite where one side is not finite and the other differs. */
function excessOf(got: number, wanted: number, atol: number, rtol: number): number {
  if (Object.is(got, wanted) || got === wanted) return 0;
  const excess = Math.abs(got - wanted) - (atol + rtol * Math.abs(wanted));
  return Number.isFinite(excess) ? Math.max(0, excess) : Number.POSITIVE_INFINITY;
}

const isTensor = (numbers: Numbers): numbers is Tensor =>
  typeof numbers === 'object' && 'dataSync' in numbers;

function flatten(numbers: Numbers): ArrayLike<number> {
  if (typeof numbers === 'number') return [numbers];
  if (isTensor(numbers)) return numbers.dataSync(); // a test waits for its values
  return ArrayBuffer.isView(numbers)
    ? (numbers as unknown as ArrayLike<number>)
    : Array.from(numbers as ArrayLike<Numbers>).flatMap((item) =>
        typeof item === 'number' ? item : Array.from(flatten(item)),
      );
}

declare module 'vitest' {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  interface Matchers<T = any> {
    /**
     * |actual − expected| ≤ atol + rtol·|expected| for every element; after `expect.extend({ toBeAllclose })`.
     */
    toBeAllclose(expected: Numbers, tolerance?: Tolerance): T;
  }
}
