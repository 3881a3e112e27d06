/** What the tokens of packed answers cost a causal model, −ln π, and sums of it, on the tape. */
import type { Tensor1D } from '@tensorflow/tfjs';
import { NO_LABEL } from '@peft/data';
import { segmentSums } from '@peft/ops';
import { causalTargets, tokenLosses, type CausalBatch } from '@peft/trainer';
import type { SharedOutput } from './shared-starts.js';

/** Costs of the labelled tokens of a batch. */
export interface AnswerCosts {
  /** −ln π at `places`, 0 elsewhere. Of the enclosing tidy scope. */
  readonly losses: Tensor1D;
  /** Where the cost of each labelled token is. */
  readonly places: Int32Array;
  /** Which token of the batch each of them is. */
  readonly tokens: Int32Array;
  /**
   * Σ −ln π by segment `[segments]`.
   * @param segmentOf a token's segment, −1 for one that does not count.
   */
  sums(segmentOf: (token: number) => number, segments: number): Tensor1D;
}

/**
 * By one pass of the output layer over the labelled rows, never `[N, V]` (`tokenLosses`).
 * @throws PEFT_TASK_HEAD, PEFT_TASK_LABELS, PEFT_LABEL_RANGE
 */
export function answerCosts(task: string, output: SharedOutput, batch: CausalBatch): AnswerCosts {
  const { tokenRows } = output;
  const inOrder = causalTargets(tokenRows ? batch : output, batch);
  const targets = tokenRows
    ? { ...inOrder, rows: inOrder.rows.map((token) => tokenRows[token]!) }
    : inOrder;
  const { losses, places } = tokenLosses(task, output, targets);
  return {
    losses,
    places,
    tokens: targets.tokens,
    sums(segmentOf, segments) {
      const all = new Int32Array(losses.shape[0]).fill(-1);
      places.forEach((place, i) => (all[place] = segmentOf(targets.tokens[i]!)));
      return segmentSums(losses, all, segments);
    },
  };
}

/** The sequence that each token is in `[N]`. */
export function sequenceOfTokens(offsets: Int32Array): Int32Array {
  const sequences = new Int32Array(offsets.at(-1)!);
  for (let b = 0; b + 1 < offsets.length; b += 1) sequences.fill(b, offsets[b], offsets[b + 1]);
  return sequences;
}

/** Tokens of each sequence's answer that have another in front of them. */
export function answerLengths(
  { tokenLabels, offsets }: CausalBatch,
  sequences: Int32Array,
): Int32Array {
  const lengths = new Int32Array(offsets.length - 1);
  tokenLabels.forEach((label, n) => {
    const b = sequences[n]!;
    if (label !== NO_LABEL && n > offsets[b]!) lengths[b]! += 1;
  });
  return lengths;
}
