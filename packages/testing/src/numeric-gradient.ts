/** Compares an operation's gradient with central differences. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { seededTensor } from './seeded-tensor.js';

/** One element of a gradient beside its difference quotient. */
export interface GradientComparison {
  /** For a message: `input 1, element 3`. */
  readonly at: string;
  readonly analytic: number;
  readonly numeric: number;
}

/** How closely a gradient is tried. */
export interface GradientCheckOptions {
  /** First of the two step widths; the second is half of it. Default 0.02. */
  readonly step?: number;
  /** Elements of each input that are tried, evenly spaced. Default 24. */
  readonly samples?: number;
  readonly seed?: number;
}

/**
 * d/dx of L = Σ f(x) ⊙ r for a seeded random r, by `tf.grads` and by differences extrapolated from
 * two step widths (error O(step⁴); L is summed in float64). Frozen inputs must not be among
 * `inputs`.
 *
 * @returns the pair of each tried element; compare with a tolerance of about 1e-3 · (1 +
 *   |numeric|).
 */
export function compareGradients(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  { step = 0.02, samples = 24, seed = 1 }: GradientCheckOptions = {},
): GradientComparison[] {
  const pairs: GradientComparison[] = [];
  tf.tidy(() => {
    const r = seededTensor(seed, f(...inputs).shape);
    const weights = r.dataSync();
    const loss = (...xs: Tensor[]): number => {
      let sum = 0;
      tf.tidy(() =>
        f(...xs)
          .dataSync()
          .forEach((y, i) => (sum += y * weights[i]!)),
      );
      return sum;
    };
    const gradients = tf.grads((...xs: Tensor[]) => tf.sum(tf.mul(f(...xs), r)))(
      inputs as Tensor[],
    );
    inputs.forEach((input, n) => {
      const values = input.dataSync().slice();
      const analytic = gradients[n]!.dataSync();
      const moved = (i: number, by: number): number => {
        const changed = Float32Array.from(values, (v, k) => (k === i ? v + by : v));
        return loss(...inputs.map((x, m) => (m === n ? tf.tensor(changed, x.shape) : x)));
      };
      const slope = (i: number, by: number) =>
        (moved(i, by) - moved(i, -by)) /
        (Math.fround(values[i]! + by) - Math.fround(values[i]! - by));
      const stride = Math.max(1, Math.floor(values.length / samples));
      for (let i = 0; i < values.length; i += stride) {
        pairs.push({
          at: `input ${n}, element ${i}`,
          analytic: analytic[i]!,
          numeric: (4 * slope(i, step / 2) - slope(i, step)) / 3,
        });
      }
    });
  });
  return pairs;
}

/**
 * Throws an error that names the worst element when a pair differs by more than `tolerance · (1 +
 * |numeric|)`.
 */
export function expectGradients(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  { tolerance = 2e-3, ...options }: GradientCheckOptions & { tolerance?: number } = {},
): void {
  const pairs = compareGradients(f, inputs, options);
  const error = ({ analytic, numeric }: GradientComparison) =>
    Math.abs(analytic - numeric) / (1 + Math.abs(numeric));
  const worst = pairs.reduce((a, b) => (error(b) > error(a) || Number.isNaN(error(b)) ? b : a));
  if (!(error(worst) <= tolerance))
    throw new Error(
      `gradient at ${worst.at}: ${worst.analytic}, but by central differences ${worst.numeric}`,
    );
}

/** What a failed contract says of a parameter that does not learn. */
export const withoutGradientAdvice = (name: string): string =>
  `${name} has no gradient: the loss does not depend on it. Where that is its nature (the bias of ` +
  'keys adds the same to all scores of a query, which the softmax ignores), say so in the case: ' +
  `{ withoutGradient: /${name.split('.').slice(-2).join('\\.')}$/ }. Else the method's forward ` +
  'pass leaves it out, or freezes it';
