/**
 * Reward models: a score s of a prompt with an answer, the single logit of a head, learnt from pairs,
 *
 *   loss = Σ_p −ln σ(s_w − s_l − m_p) + c·(s_w + s_l)²
 *
 * with a margin m of each pair and the weight c of what keeps scores around 0; the count is that of
 * the pairs. (Bradley and Terry; Touvron et al. 2023, eq. 2, for the margin; Eisenstein et al. 2023
 * for c; as TRL's RewardTrainer.)
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D } from '@tensorflow/tfjs';
import type { ModelBatch, ModelOutput } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { gatherRows, logSigmoid, readValues } from '@peft/ops';
import type { NamedMeasures, Task } from '@peft/trainer';
import type { RewardBatch } from '../data/reward-data.js';

/** Settings of {@link rewardModel}; they change the loss. */
export interface RewardModelOptions {
  /** c. Default 0. */
  readonly centerWeight?: number | undefined;
}

const NAME = 'reward';

/**
 * The task of scoring answers. A prediction is the scores of a pair, the chosen answer's first.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; the loss PEFT_TASK_HEAD
 */
export function rewardModel(
  options: RewardModelOptions = {},
): Task<RewardBatch, readonly [number, number]> {
  check.knownKeys(NAME, options, ['centerWeight']);
  const { centerWeight = 0 } = options;
  if (centerWeight !== 0) check.positive(NAME, 'centerWeight', centerWeight);
  return Object.freeze<Task<RewardBatch, readonly [number, number]>>({
    name: NAME,
    settings: { centerWeight },
    count: pairsOf,
    loss(output, batch, report) {
      const pairs = pairsOf(batch);
      const scores = tf.reshape(scoresOf(output), [-1, 1]) as tf.Tensor2D;
      const side = (rejected: 0 | 1): Tensor1D =>
        tf.reshape(
          gatherRows(
            scores,
            Int32Array.from({ length: pairs }, (_, p) => 2 * p + rejected),
          ),
          [pairs],
        );
      const [chosen, rejected] = [side(0), side(1)];
      const gap = tf.sub(chosen, rejected);
      const ahead = batch.margins ? tf.sub(gap, tf.tensor1d(batch.margins)) : gap;
      const compared = tf.neg(tf.sum(logSigmoid(ahead)));
      if (report) {
        // metrics are numbers, [P] of each
        const both = Promise.all([readValues(chosen), readValues(rejected)]);
        report(both.then(([better, worse]) => measured(better, worse)));
      }
      if (centerWeight === 0) return compared as Scalar;
      const centered = tf.sum(tf.square(tf.add(chosen, rejected)));
      return tf.add(compared, tf.mul(centered, centerWeight)) as Scalar;
    },
    async predict(output, batch) {
      const values = await readValues(scoresOf(output)); // scores are numbers
      return Array.from({ length: pairsOf(batch) }, (_, p) => [values[2 * p]!, values[2 * p + 1]!]);
    },
  });
}

/**
 * The score of each sequence: what a reward model is for. It has no loss.
 * @throws the prediction PEFT_TASK_HEAD
 */
export const rewardScore: Task<ModelBatch, number> = Object.freeze({
  name: 'reward-score',
  count: ({ offsets }: ModelBatch) => offsets.length - 1,
  loss: () => {
    throw new PeftError('PEFT_TASK_LABELS', 'reward-score: it has no loss.');
  },
  predict: async (output: ModelOutput) => Array.from(await readValues(scoresOf(output))), // scores are numbers
} satisfies Task<ModelBatch, number>);

function measured(better: Float32Array, worse: Float32Array): NamedMeasures {
  const mean = (of: (p: number) => number) => ({
    sum: Array.from(better.keys()).reduce((sum, p) => sum + of(p), 0),
    count: better.length,
  });
  return {
    'rewards/chosen': mean((p) => better[p]!),
    'rewards/rejected': mean((p) => worse[p]!),
    'rewards/margins': mean((p) => better[p]! - worse[p]!),
    'rewards/accuracies': mean((p) => (better[p]! > worse[p]! ? 1 : 0)),
  };
}

const pairsOf = ({ offsets }: ModelBatch): number => (offsets.length - 1) / 2;

/** The single logit of each sequence `[B, 1]`. @throws PEFT_TASK_HEAD */
function scoresOf({ logits }: ModelOutput): tf.Tensor2D {
  if (logits?.shape[1] === 1) return logits;
  throw new PeftError(
    'PEFT_TASK_HEAD',
    `${NAME}: the model gives ${logits ? `${logits.shape[1]} outputs` : 'none'} where a score is one.`,
    { hint: "load it with head: { kind: 'sequence-classification', outputs: 1 }" },
  );
}
