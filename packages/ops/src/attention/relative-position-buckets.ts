/**
 * T5's relative position buckets (Raffel et al. 2020), for the distance key − query: exact up to
 * half of the buckets, then logarithmic up to `maxDistance`, all farther ones in the last.
 * Bidirectional: half of the buckets for keys after the query; causal: keys after the query share
 * bucket 0. The logarithm is float32, as in Hugging Face's `T5Attention._relative_position_bucket`.
 */
import { check } from '@peft/errors';

/** How T5 puts distances into buckets, by the names of its config. */
export interface RelativeBucketOptions {
  /** `relative_attention_num_buckets`. Default 32. */
  readonly buckets?: number;
  /** `relative_attention_max_distance`. Default 128. */
  readonly maxDistance?: number;
  /** true in an encoder, false in a decoder. */
  readonly bidirectional: boolean;
}

/**
 * @returns for `attention`'s bias: the bucket of j − i is `index[j − i + origin]`, constant beyond
 *   the ends; the bias's `values` are then the table `relative_attention_bias.weight` `[buckets,
 *   H]` transposed.
 */
export function relativePositionBuckets({
  buckets = 32,
  maxDistance = 128,
  bidirectional,
}: RelativeBucketOptions): { index: Int32Array; origin: number } {
  check.positiveInteger('relativePositionBuckets', 'buckets', buckets);
  check.positiveInteger('relativePositionBuckets', 'maxDistance', maxDistance);
  const perSide = bidirectional ? Math.floor(buckets / 2) : buckets;
  const index = Int32Array.from({ length: 2 * maxDistance + 1 }, (_, at) => {
    const distance = at - maxDistance; // key − query
    if (!bidirectional) return sideBucket(Math.max(-distance, 0), perSide, maxDistance);
    return (distance > 0 ? perSide : 0) + sideBucket(Math.abs(distance), perSide, maxDistance);
  });
  return { index, origin: maxDistance };
}

function sideBucket(distance: number, buckets: number, maxDistance: number): number {
  const exact = Math.floor(buckets / 2);
  if (distance < exact) return distance;
  const f = Math.fround;
  const log = f(
    f(f(Math.log(f(distance / exact))) / f(Math.log(maxDistance / exact))) * (buckets - exact),
  );
  return Math.min(exact + Math.trunc(log), buckets - 1);
}
