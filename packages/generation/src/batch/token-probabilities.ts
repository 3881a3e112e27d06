/** Log-probabilities of a token and of the likeliest ones. */
import type { BatchToken } from './batch-request.js';

/**
 * ln softmax(logits) of `id`, and of the `count` largest.
 * @param logits `[V]`, as the model gives them
 */
export function tokenProbabilities(
  logits: Float32Array,
  id: number,
  count: number,
): Required<Pick<BatchToken, 'logProbability' | 'likeliest'>> {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const normalizer = largest + Math.log(sum);
  return {
    logProbability: logits[id]! - normalizer,
    likeliest: largestOf(logits, count).map((best) => ({
      id: best,
      logProbability: logits[best]! - normalizer,
    })),
  };
}

/** Indices of the largest values, largest first, of equal ones the first. */
function largestOf(values: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let index = 0; index < values.length && count > 0; index += 1) {
    if (best.length === count && values[index]! <= values[best[count - 1]!]!) continue;
    let at = best.length;
    while (at > 0 && values[best[at - 1]!]! < values[index]!) at -= 1;
    best.splice(at, 0, index);
    best.length = Math.min(best.length, count);
  }
  return best;
}
