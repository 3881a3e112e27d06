/** Parameters whose gradients travel together. */
import type { AccumulatedParameter } from '../step/gradient-accumulator.js';

/** Neighbours in the memory of an exchange, of a segment for each rank. */
export interface GradientBucket {
  /** Of the bucket, in numbers. */
  readonly start: number;
  /** Of one rank's part of it; the last one may reach beyond the parameters. */
  readonly segmentLength: number;
  readonly places: readonly {
    readonly key: string;
    readonly start: number;
    readonly end: number;
  }[];
}

/** Large enough that a message takes much longer than its latency, small enough to leave early. */
const BUCKET_BYTES = 8 * 2 ** 20;
/** Of one message: twice a millisecond at 1 Gbit/s. */
const SEGMENT_BYTES = 2 ** 18;

/** The least of a bucket among so many ranks, in bytes. */
export const defaultBucketBytes = (ranks: number): number =>
  Math.max(BUCKET_BYTES, SEGMENT_BYTES * ranks);

/**
 * The parameters from the last to the first, as a backward pass completes them.
 * @returns buckets and the numbers of all
 */
export function bucketsOf(
  parameters: readonly AccumulatedParameter[],
  ranks: number,
  bucketBytes: number,
): { readonly buckets: readonly GradientBucket[]; readonly length: number } {
  const buckets: GradientBucket[] = [];
  let [start, end] = [0, 0];
  let places: GradientBucket['places'] = [];
  const close = (): void => {
    const segmentLength = Math.ceil((end - start) / ranks);
    buckets.push({ start, segmentLength, places });
    start += segmentLength * ranks;
    [end, places] = [start, []];
  };
  for (const { key, parameter } of [...parameters].reverse()) {
    const length = parameter.shape.reduce((product, each) => product * each, 1);
    places = [...places, { key, start: end, end: end + length }];
    end += length;
    if (4 * (end - start) >= bucketBytes) close();
  }
  if (places.length > 0) close();
  return { buckets, length: start };
}
