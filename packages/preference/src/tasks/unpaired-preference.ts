/**
 * Learning from answers that are good or bad by themselves: loss = Σ_i w_i·ℓ_i with a loss ℓ of single
 * answers and a weight of each kind of them; the count is that of the answers. What rewards are
 * measured from is found once for a whole step, so that a split into micro-batches changes nothing.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D } from '@tensorflow/tfjs';
import type { ModelOutput } from '@peft/core';
import { check } from '@peft/errors';
import { readValues } from '@peft/ops';
import type { NamedMeasures, Task } from '@peft/trainer';
import type { UnpairedBatch } from '../data/unpaired-data.js';
import { answerCosts, answerLengths, sequenceOfTokens } from '../log-probabilities/answer-costs.js';
import { mismatchedKl } from '../log-probabilities/mismatched-kl.js';
import { memoryReferenceCache, type ReferenceCache } from '../log-probabilities/reference-cache.js';
import { referenceLogProbabilities } from '../log-probabilities/reference.js';
import { UNPAIRED_LOSSES } from '../losses/unpaired/unpaired-losses.js';
import { lossNamed } from '../losses/loss-named.js';
import type { UnpairedLoss } from '../losses/unpaired/unpaired-loss.js';

/** What answers are judged by. */
export interface UnpairedOptions {
  /** One of {@link UNPAIRED_LOSSES} by its name, or a loss of your own. Default `kto`. */
  readonly loss?: string | UnpairedLoss | undefined;
  /** β. Default 0.1. */
  readonly beta?: number | undefined;
  /** How much a desirable answer counts. Default 1. */
  readonly desirableWeight?: number | undefined;
  /** How much an undesirable one counts. Default 1. */
  readonly undesirableWeight?: number | undefined;
  /** Where log-probabilities of the reference are kept. Default: memory. */
  readonly cache?: ReferenceCache | undefined;
}

/** What a step knows of an answer beside its tokens. */
interface PreparedBatch extends UnpairedBatch {
  /** ln π_ref of each answer `[B]`. */
  readonly reference?: Float32Array;
  /** z of the whole step. */
  readonly kl?: number;
  /** Of the whole step: its micro-batches, and its answers of either kind. */
  readonly step?: { readonly batches: number; readonly chosen: number; readonly rejected: number };
}

const NAME = 'unpaired-preference';
const KEYS = ['loss', 'beta', 'desirableWeight', 'undesirableWeight', 'cache'];

/**
 * The task of telling desirable answers from others. A prediction is an answer's reward,
 * β·(ln π − ln π_ref).
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; the loss PEFT_TASK_HEAD
 */
export function unpairedPreference(options: UnpairedOptions = {}): Task<UnpairedBatch, number> {
  check.knownKeys(NAME, options, KEYS);
  const loss = lossNamed(NAME, options.loss ?? 'kto', UNPAIRED_LOSSES);
  const { beta = 0.1, desirableWeight = 1, undesirableWeight = 1 } = options;
  for (const [field, value] of Object.entries({ beta, desirableWeight, undesirableWeight }))
    check.positive(NAME, field, value);
  const cache = options.cache ?? memoryReferenceCache();
  const scored = (output: ModelOutput, batch: PreparedBatch) => {
    const sequences = sequenceOfTokens(batch.offsets);
    const logProbabilities = tf.neg(
      answerCosts(NAME, output, batch).sums((token) => sequences[token]!, rowsOf(batch)),
    ) as Tensor1D;
    return {
      logProbabilities,
      // a plan of memory asks for the loss of rows that nothing has prepared
      ratios: batch.reference
        ? (tf.sub(logProbabilities, tf.tensor1d(batch.reference)) as Tensor1D)
        : logProbabilities,
    };
  };
  return Object.freeze<Task<PreparedBatch, number>>({
    name: NAME,
    settings: { loss: loss.name, beta, desirableWeight, undesirableWeight },
    count: rowsOf,
    async prepare(model, batches, step) {
      const kl = loss.hasBaseline ? await mismatchedKl(NAME, model, batches, cache, step) : 0;
      const references = await referenceLogProbabilities(
        NAME,
        model,
        batches,
        { cache, group: 1 },
        step,
      );
      const rows = batches.reduce((sum, batch) => sum + rowsOf(batch), 0);
      const chosen = batches.reduce(
        (sum, { desirable }) => sum + desirable.filter(Boolean).length,
        0,
      );
      return batches.map((batch, i) => ({
        ...batch,
        kl,
        step: { batches: batches.length, chosen, rejected: rows - chosen },
        reference: references[i]!,
      }));
    },
    forward: (model, batch, run) => model.forward(batch, { ...run, logitRows: 'none' }),
    loss(output, batch, report) {
      const { ratios, logProbabilities } = scored(output, batch);
      const { desirable, kl = 0 } = batch;
      const losses = loss.losses({
        ratios,
        signs: tf.tensor1d(Float32Array.from(desirable, (is) => (is ? 1 : -1))),
        kl,
        beta,
      });
      const weights = Float32Array.from(desirable, (is) =>
        is ? desirableWeight : undesirableWeight,
      );
      if (report) {
        // metrics are numbers, [B] of each
        const both = Promise.all([readValues(ratios), readValues(logProbabilities)]);
        report(both.then(([ratio, log]) => measured(batch, ratio, log, beta)));
      }
      return tf.sum(tf.mul(losses, tf.tensor1d(weights))) as Scalar;
    },
    predict: async (output, batch) =>
      Array.from(await readValues(scored(output, batch).ratios), (ratio) => beta * ratio), // numbers
  });
}

const rowsOf = ({ offsets }: UnpairedBatch): number => offsets.length - 1;

/** Rewards, log-probabilities and lengths of both kinds. */
function measured(
  batch: PreparedBatch,
  ratio: Float32Array,
  log: Float32Array,
  beta: number,
): NamedMeasures {
  const { desirable, kl = 0, step } = batch;
  const lengths = answerLengths(batch, sequenceOfTokens(batch.offsets));
  const meanOf = (values: ArrayLike<number>, kind: 0 | 1, scale: number) => ({
    sum: desirable.reduce((sum, is, i) => (is === kind ? sum + scale * values[i]! : sum), 0),
    count: desirable.filter((is) => is === kind).length,
  });
  return {
    kl: { sum: kl, count: 1 },
    'rewards/chosen': meanOf(ratio, 1, beta),
    'rewards/rejected': meanOf(ratio, 0, beta),
    'logps/chosen': meanOf(log, 1, 1),
    'logps/rejected': meanOf(log, 0, 1),
    'lengths/chosen': meanOf(lengths, 1, 1),
    'lengths/rejected': meanOf(lengths, 0, 1),
    // a difference of two means over the step, of which each micro-batch tells its part
    ...(step && step.chosen > 0 && step.rejected > 0
      ? {
          'rewards/margins': {
            sum:
              meanOf(ratio, 1, beta).sum / step.chosen - meanOf(ratio, 0, beta).sum / step.rejected,
            count: 1 / step.batches,
          },
        }
      : {}),
  };
}
