/**
 * Which row of DeBERTa's table of relative embeddings belongs to a distance: log buckets
 * (DeBERTa-v2's `make_log_bucket_position`).
 *
 *   row(d) = clamp(bucket(d) + span, 0, 2·span − 1), bucket(d) = d where |d| ≤ mid, else
 *   sign(d)·(⌈ ln(|d|/mid)/ln((maxRelativePositions − 1)/mid)·(mid − 1) ⌉ + mid), mid = ⌊positionBuckets/2⌋,
 *
 * span = positionBuckets, or maxRelativePositions without buckets. Hugging Face reads row(i − j)
 * from content to position, and from position to content clamp(−bucket(j − i) + span), which is the
 * same row since bucket is odd. Its logarithms are float32, and so are ours.
 */
import { check } from '@peft/errors';

/** Rows for the distances −origin … origin, query − key; see `DisentangledAttributes`. */
export interface RelativeIndices {
  readonly contentToPositionIndex: Int32Array;
  readonly positionToContentIndex: Int32Array;
  readonly relativeOrigin: number;
}

/** How DeBERTa counts distances. */
export interface DebertaPositions {
  /** `position_buckets` of the config; −1 or 0: none. */
  readonly positionBuckets: number;
  /** `max_relative_positions`; when below 1, pass `max_position_embeddings`, as the model does. */
  readonly maxRelativePositions: number;
  /** Length of the longest sequence. */
  readonly maxLength: number;
}

/** Rows of the table of relative embeddings that are used: 2·span. */
export function debertaTableRows({
  positionBuckets,
  maxRelativePositions,
}: Omit<DebertaPositions, 'maxLength'>): number {
  return 2 * (positionBuckets > 0 ? positionBuckets : maxRelativePositions);
}

/**
 * Rows of DeBERTa's tables of relative positions for every distance in a batch.
 * @throws PEFT_CONFIG_INVALID for a count below 1
 */
export function debertaRelativeIndices({
  positionBuckets,
  maxRelativePositions,
  maxLength,
}: DebertaPositions): RelativeIndices {
  check.positiveInteger('debertaRelativeIndices', 'maxRelativePositions', maxRelativePositions);
  check.positiveInteger('debertaRelativeIndices', 'maxLength', maxLength);
  const rows = debertaTableRows({ positionBuckets, maxRelativePositions });
  const relativeOrigin = maxLength - 1;
  const index = Int32Array.from({ length: 2 * maxLength - 1 }, (_, at) => {
    const bucket = logBucket(at - relativeOrigin, positionBuckets, maxRelativePositions);
    return Math.min(Math.max(bucket + rows / 2, 0), rows - 1);
  });
  return { contentToPositionIndex: index, positionToContentIndex: index, relativeOrigin };
}

function logBucket(distance: number, buckets: number, maxPosition: number): number {
  const mid = Math.floor(buckets / 2);
  const size = Math.abs(distance);
  if (buckets <= 0 || size <= mid) return distance;
  const f = Math.fround;
  const ratio = f(f(Math.log(f(size / mid))) / f(Math.log(f((maxPosition - 1) / mid))));
  return Math.sign(distance) * (Math.ceil(f(ratio * (mid - 1))) + mid);
}
