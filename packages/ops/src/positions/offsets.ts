/**
 * The layout of a packed batch: sequence b is rows offsets[b] … offsets[b+1] of `[N, D]`, with no
 * padding anywhere.
 */
import { PeftError } from '@peft/errors';

/** Offsets of sequences of these lengths: `[0, l₀, l₀+l₁, …]`. */
export function offsetsOf(lengths: ArrayLike<number>): Int32Array {
  const offsets = new Int32Array(lengths.length + 1);
  for (let b = 0; b < lengths.length; b += 1) offsets[b + 1] = offsets[b]! + lengths[b]!;
  return offsets;
}

/**
 * Checks that `offsets` start at 0, grow (no sequence is empty) and end at `rows`.
 * @param owner named in the message. @throws PEFT_OFFSETS_INVALID
 */
export function checkOffsets(owner: string, offsets: Int32Array, rows: number): void {
  const fail = (problem: string): never => {
    throw new PeftError('PEFT_OFFSETS_INVALID', `${owner}: ${problem}.`, {
      hint:
        'offsets of B sequences are B + 1 row numbers: 0, the ends of the sequences in order, ' +
        'the last being the number of rows',
    });
  };
  if (offsets.length < 2 || offsets[0] !== 0)
    fail(
      `offsets [${offsets.subarray(0, 4).join(', ')}…] of length ${offsets.length} do not start a batch`,
    );
  for (let b = 1; b < offsets.length; b += 1)
    if (offsets[b]! <= offsets[b - 1]!)
      fail(
        `sequence ${b - 1} goes from row ${offsets[b - 1]} to ${offsets[b]}; an empty one has no place in a batch`,
      );
  if (offsets.at(-1) !== rows) fail(`offsets end at ${offsets.at(-1)}, but there are ${rows} rows`);
}

/** Length of the longest sequence. */
export function longestSequence(offsets: Int32Array): number {
  let longest = 0;
  for (let b = 1; b < offsets.length; b += 1)
    longest = Math.max(longest, offsets[b]! - offsets[b - 1]!);
  return longest;
}

/** Position of each row in its sequence, `[N]`: 0, 1, … for each sequence, from `first`. */
export function positionsOf(offsets: Int32Array, first = 0): Int32Array {
  const positions = new Int32Array(offsets.at(-1)!);
  for (let b = 1; b < offsets.length; b += 1)
    for (let n = offsets[b - 1]!; n < offsets[b]!; n += 1)
      positions[n] = first + n - offsets[b - 1]!;
  return positions;
}
