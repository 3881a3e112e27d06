/**
 * Causal language modelling: each labelled token is predicted from those before it in its own
 * sequence,
 *
 *   loss = Σ_n −ln p(x_n | x_<n) over tokens n with a label, the first of a sequence never being one.
 *
 * The count is that of the labelled tokens, so a step's loss is their mean over the whole batch
 * however it is split.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar } from '@tensorflow/tfjs';
import type { ModelBatch, ModelOutput } from '@peft/core';
import type { TokenBatch, TokenLoss } from '@peft/data';
import { PeftError } from '@peft/errors';
import { IGNORED_LABEL } from '@peft/ops';
import {
  besideOutput,
  firstRows,
  targetLoss,
  targetLosses,
  type Targets,
} from './language-model-loss.js';
import type { Task } from './task.js';

/** A packed batch with a label per token: its own id, or −100. */
export interface CausalBatch extends ModelBatch, TokenBatch {}

const NAME = 'causal-lm';

/**
 * The task of writing on. A prediction is what the labelled tokens of an example cost, for
 * `perplexity`.
 * @throws the loss PEFT_TASK_HEAD, PEFT_TASK_LABELS, PEFT_LABEL_RANGE
 */
export function causalLanguageModel(): Task<CausalBatch, TokenLoss> {
  return Object.freeze<Task<CausalBatch, TokenLoss>>({
    name: NAME,
    count: (batch) => labelled(batch).length,
    forward: (model, batch, options) => model.forward(batch, { ...options, logitRows: 'none' }),
    loss: (output, batch) => wholeLoss(output, batch),
    predict: async (output, batch) =>
      perExample(await targetLosses(NAME, output, causalTargets(output, batch)), batch),
  });
}

/**
 * What the targets cost; what the routers of a mixture of experts add to their mean, where the config
 * asks for it: the mean over the whole batch then has the routers' loss once; and what the targets cost
 * small models beside this one, weighted.
 */
function wholeLoss(output: ModelOutput, batch: CausalBatch): Scalar {
  const targets = causalTargets(output, batch);
  const loss = targetLoss(NAME, output, targets);
  const routed = output.routerLoss
    ? tf.add<Scalar>(loss, tf.mul(output.routerLoss, targets.rows.length))
    : loss;
  return (output.auxiliary ?? []).reduce<Scalar>(
    (sum, { hidden, weight }) =>
      tf.add(sum, tf.mul(targetLoss(NAME, besideOutput(output, hidden), targets), weight)),
    routed,
  );
}

/** Tokens that have something in front of them and count. */
function labelled({ tokenLabels, offsets }: CausalBatch): Int32Array {
  if (!(tokenLabels instanceof Int32Array) || tokenLabels.length !== offsets.at(-1)) {
    throw new PeftError(
      'PEFT_TASK_LABELS',
      `${NAME}: a batch of ${offsets.at(-1)} tokens has ${tokenLabels ? `${tokenLabels.length} labels` : 'no labels'}.`,
      { hint: 'make the data with plainTextData, completionData or chatData of @peft/data' },
    );
  }
  const starts = new Set(offsets);
  return Int32Array.from(tokenLabels.keys()).filter(
    (n) => tokenLabels[n] !== IGNORED_LABEL && !starts.has(n),
  );
}

/** Targets with the token of the batch that each is. */
export interface CausalTargets extends Targets {
  readonly tokens: Int32Array;
}

/**
 * What a causal model has to give: the row before each labelled token has to give that token.
 * @throws PEFT_TASK_LABELS
 */
export function causalTargets(
  output: Pick<ModelOutput, 'offsets'>,
  batch: CausalBatch,
): CausalTargets {
  const first = firstRows(output, batch.offsets);
  const tokens = labelled(batch);
  let b = 0;
  return {
    tokens,
    rows: tokens.map((n) => {
      while (n >= batch.offsets[b + 1]!) b += 1;
      return first[b]! + n - batch.offsets[b]! - 1;
    }),
    labels: tokens.map((n) => batch.tokenLabels[n]!),
  };
}

function perExample(losses: Float32Array, batch: CausalBatch): TokenLoss[] {
  const tokens = labelled(batch);
  let at = 0;
  return Array.from(batch.exampleOffsets.slice(1), (sequence) => {
    const end = batch.offsets[sequence]!;
    let loss = 0;
    const start = at;
    for (; at < tokens.length && tokens[at]! < end; at += 1) loss += losses[at]!;
    return { loss, tokens: at - start };
  });
}
