/**
 * Learning from pairs of answers, one chosen over the other. With a pair's loss ℓ (a `PairLoss`) of the
 * answers' log-probabilities, and the weight α of the likelihood of what was chosen,
 *
 *   loss = Σ_p ℓ_p + α·P·(Σ_n −ln π(y_n)) / N
 *
 * over the P pairs and the N tokens of chosen answers of the whole step; the count is P, so that a
 * step's loss is a mean over pairs plus α times a mean over tokens, however it is split. The
 * reference is the same base with the adapters that train switched off, without dropout. What both
 * answers of a pair begin with is computed once.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D } from '@tensorflow/tfjs';
import type { ModelOutput } from '@peft/core';
import { NO_LABEL } from '@peft/data';
import { readValues } from '@peft/ops';
import type { CausalBatch, NamedMeasures, Task } from '@peft/trainer';
import { answerCosts, answerLengths, sequenceOfTokens } from '../log-probabilities/answer-costs.js';
import { memoryReferenceCache } from '../log-probabilities/reference-cache.js';
import { referenceLogProbabilities } from '../log-probabilities/reference.js';
import { forwardShared, watchSharing } from '../log-probabilities/shared-starts.js';
import { resolvePreference, type PreferenceOptions } from './preference-options.js';

/** Pairs: sequence 2p is the chosen answer of pair p, 2p + 1 the rejected one. */
export interface PreferenceBatch extends CausalBatch {
  /** ln π_ref of each sequence's answer `[2P]`. */
  readonly reference?: Float32Array;
  /** P/N of the step: pairs by the tokens of chosen answers that the likelihood counts. */
  readonly pairsPerToken?: number;
}

/** What the model thinks of a pair. */
export interface PairOutcome {
  /** β·(ln π − ln π_ref) of the answer, β·ln π without a reference. */
  readonly chosenReward: number;
  readonly rejectedReward: number;
}

const NAME = 'preference';
/** Of a pair. */
const ANSWERS = 2;

/**
 * The task of preferring the chosen answer. A prediction is the rewards of a pair.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; the loss PEFT_TASK_HEAD, PEFT_TASK_LABELS
 */
export function preference(options: PreferenceOptions = {}): Task<PreferenceBatch, PairOutcome> {
  const resolved = resolvePreference(NAME, options);
  const { loss, beta, labelSmoothing, margin, likelihoodWeight } = resolved;
  const cache = options.cache ?? memoryReferenceCache();
  const likelihoodTokens = loss.likelihood?.tokens ?? 'answer';

  /** Scores of the pairs, and what the chosen sequences cost. */
  const scored = (output: ModelOutput, batch: PreferenceBatch) => {
    const pairs = pairsOf(batch);
    const sequences = sequenceOfTokens(batch.offsets);
    const isAnswer = (token: number): boolean => batch.tokenLabels[token] !== NO_LABEL;
    const counts = likelihoodTokens === 'whole' && likelihoodWeight > 0;
    const costs = answerCosts(NAME, output, counts ? withWholeChosen(batch, sequences) : batch);
    const lengths = answerLengths(batch, sequences);
    const side = (rejected: 0 | 1) => {
      const own = Float32Array.from({ length: pairs }, (_, p) => lengths[2 * p + rejected]!);
      const sums = costs.sums(
        (token) =>
          isAnswer(token) && sequences[token]! % 2 === rejected ? sequences[token]! >> 1 : -1,
        pairs,
      );
      const reference = batch.reference && own.map((_, p) => batch.reference![2 * p + rejected]!);
      const ratio = reference ? tf.sub(tf.neg(sums), tf.tensor1d(reference)) : tf.neg(sums);
      return {
        scores: (loss.isAveraged ? tf.div(ratio, tf.tensor1d(own)) : ratio) as Tensor1D,
        logProbabilities: tf.neg(sums),
        lengths: own,
      };
    };
    return {
      chosen: side(0),
      rejected: side(1),
      likelihood: () => costs.sums((token) => (sequences[token]! % 2 === 0 ? 0 : -1), 1),
    };
  };

  return Object.freeze<Task<PreferenceBatch, PairOutcome>>({
    name: NAME,
    settings: { loss: loss.name, beta, labelSmoothing, margin, likelihoodWeight },
    count: pairsOf,
    async prepare(model, batches, step) {
      watchSharing(model, step);
      const total = batches.reduce((sum, batch) => sum + pairsOf(batch), 0);
      const tokens = batches.reduce(
        (sum, batch) => sum + likelihoodCount(batch, likelihoodTokens),
        0,
      );
      const references = loss.hasReference
        ? await referenceLogProbabilities(NAME, model, batches, { cache, group: ANSWERS }, step)
        : [];
      return batches.map((batch, i) => ({
        ...batch,
        pairsPerToken: total / tokens,
        reference: references[i],
      }));
    },
    forward: (model, batch, run) =>
      forwardShared(model, batch, ANSWERS, { ...run, logitRows: 'none' }),
    loss(output, batch, report) {
      const { chosen, rejected, likelihood } = scored(output, batch);
      const compared = tf.sum(
        loss.losses(
          {
            chosen: chosen.scores,
            rejected: rejected.scores,
            chosenLengths: tf.tensor1d(chosen.lengths),
            rejectedLengths: tf.tensor1d(rejected.lengths),
          },
          resolved,
        ),
      );
      if (report) report(measured(chosen, rejected, { beta, hasReference: loss.hasReference }));
      if (likelihoodWeight === 0) return compared as Scalar;
      const cost = likelihood();
      // costs are shown, too
      if (report)
        report(
          readValues(cost).then(([sum]) => ({
            nll: { sum: sum!, count: likelihoodCount(batch, likelihoodTokens) },
          })),
        );
      const share = likelihoodWeight * batch.pairsPerToken!;
      return tf.add(compared, tf.mul(tf.reshape(cost, []), share)) as Scalar;
    },
    async predict(output, batch) {
      const { chosen, rejected } = scored(output, batch);
      // rewards are numbers
      const [better, worse] = await Promise.all(
        [chosen, rejected].map(({ scores }) => readValues(scores)),
      );
      return Array.from(better!, (score, p) => ({
        chosenReward: beta * score,
        rejectedReward: beta * worse![p]!,
      }));
    },
  });
}

const pairsOf = ({ offsets }: PreferenceBatch): number => (offsets.length - 1) / 2;

/** Every token of the chosen sequences counts, the prompt's, too. */
const withWholeChosen = (batch: PreferenceBatch, sequences: Int32Array): PreferenceBatch => ({
  ...batch,
  tokenLabels: batch.tokenLabels.map((label, n) =>
    sequences[n]! % 2 === 0 ? batch.inputIds[n]! : label,
  ),
});

/** Tokens of chosen sequences that the likelihood counts. */
function likelihoodCount(batch: PreferenceBatch, tokens: 'answer' | 'whole'): number {
  const lengths = answerLengths(batch, sequenceOfTokens(batch.offsets));
  let count = 0;
  for (let b = 0; b < lengths.length; b += 2)
    count += tokens === 'answer' ? lengths[b]! : batch.offsets[b + 1]! - batch.offsets[b]! - 1;
  return count;
}

interface Side {
  readonly scores: Tensor1D;
  readonly logProbabilities: tf.Tensor;
  readonly lengths: Float32Array;
}

/** Rewards, log-probabilities and lengths of both sides, by TRL's names. */
async function measured(
  chosen: Side,
  rejected: Side,
  { beta, hasReference }: { readonly beta: number; readonly hasReference: boolean },
): Promise<NamedMeasures> {
  const count = chosen.lengths.length;
  const mean = (values: ArrayLike<number>, scale = 1) => ({
    sum: Array.from(values).reduce((sum, value) => sum + value, 0) * scale,
    count,
  });
  // metrics are numbers, [P] of each
  const [better, worse, chosenLogs, rejectedLogs] = await Promise.all(
    [chosen.scores, rejected.scores, chosen.logProbabilities, rejected.logProbabilities].map(
      (tensor) => readValues(tensor),
    ),
  );
  const gaps = better!.map((score, p) => score - worse![p]!);
  return {
    'rewards/chosen': mean(better!, beta),
    'rewards/rejected': mean(worse!, beta),
    'rewards/margins': mean(gaps, beta),
    'rewards/accuracies': mean(gaps.map((gap) => (gap > 0 ? 1 : 0))),
    'logps/chosen': mean(chosenLogs!),
    'logps/rejected': mean(rejectedLogs!),
    'lengths/chosen': mean(chosen.lengths),
    'lengths/rejected': mean(rejected.lengths),
    ...(hasReference ? { kl: mean(better!.map((score, p) => (score + worse![p]!) / 2)) } : {}),
  };
}
