/** Random orders and samples of row numbers. */
import { check, PeftError } from '@peft/errors';
import { seededRandom, type RandomSeed } from './seeded-random.js';

/** A random order of 0 … n − 1 (Fisher and Yates), the same for the same seed. */
export function permutation(n: number, seed: RandomSeed): Int32Array {
  check.nonNegativeInteger('data', 'n', n);
  return drawn(n, n, seed);
}

/**
 * `count` different numbers of 0 … n − 1 in random order.
 * @throws PEFT_SAMPLE_TOO_LARGE if count > n.
 */
export function sampleRows(n: number, count: number, seed: RandomSeed): Int32Array {
  check.nonNegativeInteger('data', 'n', n);
  check.positiveInteger('data', 'sample', count);
  if (count > n)
    throw new PeftError('PEFT_SAMPLE_TOO_LARGE', `data: cannot sample ${count} of ${n} rows.`, {
      hint: `Ask for at most ${n} rows.`,
    });
  return drawn(n, count, seed).slice(0, count);
}

function drawn(n: number, count: number, seed: RandomSeed): Int32Array {
  const random = seededRandom(seed);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = 0; i < Math.min(count, n - 1); i += 1) {
    const j = i + random.integer(n - i);
    const row = order[i]!;
    order[i] = order[j]!;
    order[j] = row;
  }
  return order;
}
