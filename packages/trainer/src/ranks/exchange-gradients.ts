/**
 * From each rank's part of a step's sum to the whole sum on all of them. Each rank adds a segment
 * of all numbers, in the order of the tree, and hands it to the others: 2·(N − 1)/N of the numbers
 * go out from each of N ranks, as in a ring.
 */
import type { Collective, OwnedParameter } from '@peft/core';
import type { Gradients } from '@peft/optim';
import type { Measures } from '../step/step-metrics.js';
import { gatherValues } from './rank-messages.js';
import { sharesOf, type RankShare } from './rank-shares.js';

/** What a step's ranks tell each other before their sums. */
export interface StepReport {
  /** Of each micro-batch of the step; 0 for those of other ranks. */
  readonly losses: Float64Array;
  /** What the task measured beside its loss, in the order of the micro-batches. */
  readonly told: readonly Measures[];
  /** This rank was asked to stop. */
  readonly isAborted: boolean;
}

export interface GradientExchange {
  /**
   * Tells what each rank found.
   * @param own names of this rank's gradients are those that it has.
   * @returns losses and measures of all micro-batches; whether a rank was asked to stop.
   */
  report(own: StepReport, sum: Gradients): Promise<StepReport>;
  /**
   * Adds what the ranks have, after they have reported.
   * @param sum of this rank's share; left alone when it has none.
   * @returns the sum over all, valid until the next call.
   */
  add(sum: Gradients, share: RankShare): Promise<Gradients>;
}

/** x + (−0) is x for every x, 0 and −0 included. */
const NEUTRAL = -0;

/**
 * Buffers are made once: two times the gradients of one step.
 * @param stages ranks that hold a model together: each knows the gradients of its own blocks. A
 *   parameter that several of them read has the sum, in the order of the stages.
 */
export function createGradientExchange(
  collective: Collective,
  parameters: readonly { readonly key: string; readonly parameter: OwnedParameter }[],
  stages = 1,
): GradientExchange {
  const { rank, size } = collective;
  let total = 0;
  const places = parameters.map(({ key, parameter: { shape } }) => {
    const start = total;
    total += shape.reduce((product, length) => product * length, 1);
    return { key, start, end: total };
  });
  const segmentLength = Math.ceil(total / size);
  const all = new Float32Array(segmentLength * size);
  const segmentOf = (owner: number): Float32Array =>
    all.subarray(owner * segmentLength, (owner + 1) * segmentLength);
  const received = Array.from({ length: size }, () => new Float32Array(segmentLength));
  let present: readonly boolean[] = [];

  /** This rank's segment of a part of the sum. */
  const segmentSum = ({ parts, firstRank }: RankShare): Float32Array => {
    if (parts) return added(segmentSum(parts[0]), segmentSum(parts[1]));
    return received
      .slice(firstRank * stages, (firstRank + 1) * stages)
      .reduce((sum, part) => added(sum, part));
  };

  return {
    async report({ losses, told, isAborted }, sum) {
      // a number that a single rank knows is 0 on the others: their sum is exact
      const message = Float64Array.of(
        ...losses,
        ...places.map(({ key }) => (key in sum ? 1 : 0)),
        told.length,
        isAborted ? 1 : 0,
      );
      await collective.allReduce(message, 'sum');
      present = places.map((_, i) => message[losses.length + i]! > 0);
      return {
        losses: message.subarray(0, losses.length),
        // the micro-batches of a rank are neighbours
        told: message.at(-2)! > 0 ? (await gatherValues(collective, told)).flat() : told,
        isAborted: message.at(-1)! > 0,
      };
    },
    async add(sum, share) {
      const senders = sharesOf(share).flatMap(({ firstRank }) =>
        Array.from({ length: stages }, (_, stage) => firstRank * stages + stage),
      );
      const exchanged: Promise<void>[] = [];
      if (senders.includes(rank)) {
        all.fill(NEUTRAL);
        for (const { key, start } of places)
          if (key in sum) all.set(await valuesOf(sum[key]!), start);
        received[rank]!.set(segmentOf(rank));
        for (let to = 0; to < size; to += 1)
          if (to !== rank) exchanged.push(collective.send(segmentOf(to), to));
      }
      for (const from of senders)
        if (from !== rank) exchanged.push(collective.receive(received[from]!, from));
      await Promise.all(exchanged);
      await collective.allGather(segmentSum(share), all);
      return Object.fromEntries(
        places
          .filter((_, i) => present[i])
          .map(({ key, start, end }) => [key, all.subarray(start, end)]),
      );
    },
  };
}

const valuesOf = async (gradient: Gradients[string]): Promise<Float32Array> =>
  gradient instanceof Float32Array ? gradient : gradient.data<'float32'>();

/** The sum, in the place of the left one. */
function added<Sum extends Float32Array>(sum: Sum, right: Float32Array): Sum {
  for (let i = 0; i < sum.length; i += 1) sum[i]! += right[i]!;
  return sum;
}
