/**
 * From each rank's part of a step's sum to the whole sum on all of them, while the backward pass goes
 * on. Parameters are in buckets, the last ones of the model in the first. Each rank adds a segment of
 * each bucket, in the order of the tree, and hands it to the others: 2·(N − 1)/N of the numbers go
 * out from each of N ranks, as in a ring. A bucket leaves when all of its parameters are complete.
 */
import type { Collective } from '@peft/core';
import type { Gradients } from '@peft/optim';
import type { AccumulatedParameter } from '../step/gradient-accumulator.js';
import type { Measures } from '../step/step-metrics.js';
import { bucketsOf, defaultBucketBytes } from './gradient-buckets.js';
import { gatherValues } from './rank-messages.js';
import { sharesOf, type RankShare } from './rank-shares.js';

/** What a step's ranks tell each other beside their sums. */
export interface StepReport {
  /** Of each micro-batch of the step; 0 for those of other ranks. */
  readonly losses: Float64Array;
  /** What the task measured beside its loss, in the order of the micro-batches. */
  readonly told: readonly Measures[];
  /** This rank was asked to stop. */
  readonly isAborted: boolean;
}

/** `begin`, `put` for what is complete before the rest, `end`: on every rank, in each step. */
export interface GradientExchange {
  /** From now on what other ranks have ready may arrive. */
  begin(share: RankShare): void;
  /**
   * Hands on the sum of a parameter over this rank's micro-batches; it is copied.
   * @returns whether a bucket leaves with it
   */
  put(key: string, sum: Float32Array): boolean;
  /**
   * Hands on what was not put, and tells what each rank found.
   * @param own names of this rank's gradients are those that `sum` has.
   * @param sum of this rank's share; left alone when it has none.
   * @returns losses and measures of all micro-batches; whether a rank was asked to stop; the sum over
   *   all, valid until the next step.
   */
  end(own: StepReport, sum: Gradients): Promise<StepReport & { readonly gradients: Gradients }>;
}

/** x + (−0) is x for every x, 0 and −0 included. */
const NEUTRAL = -0;
/** Parts of segments, and their sums, which other messages may overtake. */
const CHANNELS = Object.freeze({ parts: 1, sums: 2 });

/** What is under way in a step. */
interface ExchangeStep {
  readonly share: RankShare;
  readonly isSender: boolean;
  /** By bucket: parameters that were not put. */
  readonly missing: Set<string>[];
  /** By bucket: when the others' parts of this rank's segment are there. */
  readonly arriving: readonly Promise<unknown>[];
  /** The first bucket that has not left. */
  next: number;
  /** Resolves when this rank's segments of the buckets that have left are added and on their way. */
  added: Promise<void>;
  readonly gathering: Promise<void>[];
}

/**
 * Buffers are made once: two times the gradients of one step.
 * @param stages ranks that hold a model together: each knows the gradients of its own blocks. A
 *   parameter that several of them read has the sum, in the order of the stages.
 * @param bucketBytes the least of a bucket but the last. The same on all ranks; it changes no result.
 */
export function createGradientExchange(
  collective: Collective,
  parameters: readonly AccumulatedParameter[],
  stages = 1,
  bucketBytes = defaultBucketBytes(collective.size),
): GradientExchange {
  const { rank, size } = collective;
  const others = Array.from({ length: size }, (_, peer) => peer).filter((peer) => peer !== rank);
  const { buckets, length } = bucketsOf(parameters, size, bucketBytes);
  const all = new Float32Array(length);
  const placeOf = new Map(
    buckets.flatMap(({ places }, bucket) =>
      places.map(({ key, start, end }) => [key, { bucket, values: all.subarray(start, end) }]),
    ),
  );
  const segmentOf = (bucket: number, owner: number): Float32Array => {
    const { start, segmentLength } = buckets[bucket]!;
    const from = start + owner * segmentLength;
    return all.subarray(from, from + segmentLength);
  };
  /** By bucket and rank: its part of this rank's segment. */
  const parts = buckets.map(({ segmentLength }, bucket) =>
    Array.from({ length: size }, (_, from) =>
      from === rank ? segmentOf(bucket, rank) : new Float32Array(segmentLength),
    ),
  );
  let step: ExchangeStep | undefined;

  const segmentSum = (bucket: number, { parts: sides, firstRank }: RankShare): Float32Array => {
    if (sides) return added(segmentSum(bucket, sides[0]), segmentSum(bucket, sides[1]));
    return parts[bucket]!.slice(firstRank * stages, (firstRank + 1) * stages).reduce((sum, part) =>
      added(sum, part),
    );
  };
  /** Buckets leave in their order, so that messages of a channel do. */
  const leave = (current: ExchangeStep): boolean => {
    const first = current.next;
    while (current.next < buckets.length && current.missing[current.next]!.size === 0)
      sendBucket(current, current.next++);
    return current.next > first;
  };
  const sendBucket = (current: ExchangeStep, bucket: number): void => {
    const sending = current.isSender
      ? others.map((to) => collective.send(segmentOf(bucket, to), to, CHANNELS.parts))
      : [];
    const before = current.added;
    current.added = watched(
      (async () => {
        await Promise.all([before, current.arriving[bucket], ...sending]);
        const own = segmentOf(bucket, rank);
        const sum = segmentSum(bucket, current.share);
        if (sum !== own) own.set(sum);
        for (const peer of others)
          current.gathering.push(
            watched(collective.send(own, peer, CHANNELS.sums)),
            watched(collective.receive(segmentOf(bucket, peer), peer, CHANNELS.sums)),
          );
      })(),
    );
  };

  return {
    begin(share) {
      const senders = sharesOf(share).flatMap(({ firstRank }) =>
        Array.from({ length: stages }, (_, stage) => firstRank * stages + stage),
      );
      const isSender = senders.includes(rank);
      step = {
        share,
        isSender,
        missing: buckets.map(({ places }) => new Set(isSender ? places.map(({ key }) => key) : [])),
        arriving: parts.map((own) =>
          watched(
            Promise.all(
              senders
                .filter((from) => from !== rank)
                .map((from) => collective.receive(own[from]!, from, CHANNELS.parts)),
            ),
          ),
        ),
        next: 0,
        added: Promise.resolve(),
        gathering: [],
      };
      leave(step);
    },
    put(key, sum) {
      const { bucket, values } = placeOf.get(key)!;
      values.set(sum);
      step!.missing[bucket]!.delete(key);
      return leave(step!);
    },
    async end({ losses, told, isAborted }, sum) {
      const current = step!;
      for (const keys of current.missing) {
        for (const key of keys) {
          const { values } = placeOf.get(key)!;
          if (key in sum) values.set(await valuesOf(sum[key]!));
          else values.fill(NEUTRAL);
        }
        keys.clear();
        leave(current);
      }
      // a number that a single rank knows is 0 on the others: their sum is exact
      const keys = [...placeOf.keys()];
      const message = Float64Array.of(
        ...losses,
        ...keys.map((key) => (key in sum ? 1 : 0)),
        told.length,
        isAborted ? 1 : 0,
      );
      await collective.allReduce(message, 'sum');
      const allTold = message.at(-2)! > 0 ? await gatherValues(collective, told) : [told];
      await current.added;
      await Promise.all(current.gathering);
      return {
        losses: message.subarray(0, losses.length),
        // the micro-batches of a rank are neighbours
        told: allTold.flat(),
        isAborted: message.at(-1)! > 0,
        gradients: Object.fromEntries(
          parameters.flatMap(({ key }) =>
            message[losses.length + keys.indexOf(key)]! > 0
              ? [[key, placeOf.get(key)!.values] as const]
              : [],
          ),
        ),
      };
    },
  };
}

const valuesOf = async (gradient: Gradients[string]): Promise<Float32Array> =>
  gradient instanceof Float32Array ? gradient : gradient.data<'float32'>();

/** Its failure is heard by whoever waits for it later; until then it is nobody's. */
function watched<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** The sum, in the place of the left one. */
function added<Sum extends Float32Array>(sum: Sum, right: Float32Array): Sum {
  for (let i = 0; i < sum.length; i += 1) sum[i]! += right[i]!;
  return sum;
}
