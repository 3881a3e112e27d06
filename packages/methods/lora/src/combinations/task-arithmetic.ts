/**
 * Sums of tensors of one shape that were trained for several tasks, as PEFT's weighted adapters
 * have them.
 *
 *   linear            Σ wᵢ·tᵢ
 *   magnitude prune   Σ wᵢ·top(tᵢ): of each tensor the largest values alone
 *   ties              top(tᵢ); of each element only the tasks that agree with the majority's sign, their mean     Yadav et al. 2023
 *   dare              tᵢ with elements dropped at random and the rest divided by the density, then linear or ties   Yu et al. 2023
 */
import { PeftError } from '@peft/errors';

export interface ArithmeticOptions {
  readonly kind: 'linear' | 'magnitude_prune' | 'ties' | 'dare_linear' | 'dare_ties';
  /** Share of the elements that pruning keeps, in (0, 1]. */
  readonly density: number;
  /** The majority's sign: that of the sum, or of the number of tasks. */
  readonly majoritySign: 'total' | 'frequency';
  /** 0 or 1 for each of `count` elements, 1 with the probability `density`. */
  keep(count: number): ArrayLike<number>;
}

/** The weighted sum of the tensors. */
export function combineTensors(
  tensors: readonly Float32Array[],
  weights: readonly number[],
  options: ArithmeticOptions,
): Float32Array {
  const { kind, density } = options;
  const pruned = tensors.map((tensor) => {
    if (kind === 'linear' || density >= 1) return tensor;
    if (kind === 'magnitude_prune' || kind === 'ties') return largest(tensor, density);
    const kept = options.keep(tensor.length);
    return tensor.map((value, i) => (value * kept[i]!) / density);
  });
  const isTies = kind === 'ties' || kind === 'dare_ties';
  return isTies
    ? agreeing(pruned, weights, options.majoritySign)
    : Float32Array.from(pruned[0]!, (_, i) =>
        pruned.reduce((sum, tensor, k) => sum + weights[k]! * tensor[i]!, 0),
      );
}

/** The `density` share of elements with the largest size; the rest 0. */
function largest(tensor: Float32Array, density: number): Float32Array {
  const order = Array.from(tensor.keys()).sort(
    (a, b) => Math.abs(tensor[b]!) - Math.abs(tensor[a]!) || a - b,
  );
  const out = new Float32Array(tensor.length);
  for (const i of order.slice(0, Math.trunc(density * tensor.length))) out[i] = tensor[i]!;
  return out;
}

function agreeing(
  tensors: readonly Float32Array[],
  weights: readonly number[],
  majoritySign: ArithmeticOptions['majoritySign'],
): Float32Array {
  return Float32Array.from(tensors[0]!, (_, i) => {
    const values = tensors.map((tensor) => tensor[i]!);
    const balance = values.reduce(
      (sum, value) => Math.fround(sum + (majoritySign === 'total' ? value : Math.sign(value))),
      0,
    );
    const sign = balance >= 0 ? 1 : -1;
    let [sum, count] = [0, 0];
    values.forEach((value, k) => {
      if (Math.sign(value) !== sign) return;
      sum += weights[k]! * value;
      count += 1;
    });
    return sum / Math.max(count, 1);
  });
}

/** @throws PEFT_CONFIG_INVALID unless the density is in (0, 1]. */
export function checkDensity(density: number): void {
  if (!(density > 0 && density <= 1))
    throw new PeftError('PEFT_CONFIG_INVALID', `lora: density must be in (0, 1], got ${density}.`, {
      hint: 'it is the share of the elements that stay',
    });
}
