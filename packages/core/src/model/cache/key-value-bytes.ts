/** What a cache of keys and values takes. */
import type { ModelDescription } from '../../description/model-description.js';
import { roomFor } from './row-rooms.js';

/**
 * Bytes of a cache that holds sequences of these lengths: of each attention of the decoder two
 * float32 matrices with room for every sequence to grow,
 *
 *   8 · Σ_attentions Hkv·E · Σ_b (n_b + max(32, ⌊n_b / 2⌋)).
 *
 * It holds at most as much while sequences grow, and at most twice as much after some have left.
 * What cross attention reads is not counted.
 *
 * @param lengths n_b, rows of each sequence, those that a prefix stands for among them.
 */
export function keyValueBytes(
  { sites }: Pick<ModelDescription, 'sites'>,
  lengths: readonly number[],
): number {
  const rows = lengths.reduce((sum, length) => sum + roomFor(length), 0);
  const width = sites.reduce(
    (sum, site) =>
      site.kind === 'attention' && site.stack === 'decoder'
        ? sum + site.keyValueHeads * site.headSize
        : sum,
    0,
  );
  return 8 * width * rows;
}
