/**
 * The loss of a language model, −ln p of each labelled token, without the logits of all others: the
 * output layer is applied to the labelled rows alone, a chunk at a time, and again for the gradient
 * (`linearCrossEntropy`). Where an adapter stands on the output layer the logits of the labelled
 * rows are made at once.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import type { ModelOutput } from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  crossEntropy,
  gatherRows,
  IGNORED_LABEL,
  linearCrossEntropy,
  readInScope,
  readValues,
} from '@peft/ops';

/** Which rows of `hidden` have to give which token; one row may have to give several. */
export interface Targets {
  readonly rows: Int32Array;
  readonly labels: Int32Array;
}

/**
 * Σ of what the targets cost, of the enclosing tidy scope.
 * @throws PEFT_TASK_HEAD when the model is no language model
 */
export const targetLoss = (task: string, output: ModelOutput, targets: Targets): Scalar =>
  tf.sum(tokenLosses(task, output, targets).losses) as Scalar;

/** What each target costs. @throws PEFT_TASK_HEAD */
export const targetLosses = (
  task: string,
  output: ModelOutput,
  targets: Targets,
): Promise<Float32Array> =>
  readInScope(async () => {
    const { losses, places } = tokenLosses(task, output, targets);
    const values = await readValues(losses); // a prediction is made of numbers
    return Float32Array.from(places, (place) => values[place]!);
  });

/** −ln p of targets among other rows. */
export interface TokenLosses {
  /** 0 where nothing is asked for. */
  readonly losses: Tensor1D;
  /** Where each target's loss is. */
  readonly places: Int32Array;
}

/**
 * −ln p of each target, on the tape.
 * @returns tensors of the enclosing tidy scope
 * @throws PEFT_TASK_HEAD when the model is no language model; PEFT_LABEL_RANGE
 */
export function tokenLosses(
  task: string,
  output: ModelOutput,
  { rows, labels }: Targets,
): TokenLosses {
  const { hidden, outputLayer, logitsOf } = output;
  if (!outputLayer && !logitsOf) {
    throw new PeftError(
      'PEFT_TASK_HEAD',
      `${task}: the model has no output layer over the vocabulary.`,
      {
        hint: "load it with head: { kind: 'causal-lm' }, or { kind: 'seq2seq-lm' } for an encoder-decoder",
      },
    );
  }
  if (!outputLayer)
    return {
      losses: rows.length === 0 ? noLoss(hidden) : crossEntropy(logitsOf!(rows), labels),
      places: Int32Array.from(rows.keys()),
    };
  const { weight, bias, scale, softCap } = outputLayer;
  if (new Set(rows).size < rows.length)
    return {
      losses: linearCrossEntropy(gatherRows(hidden, rows), weight, labels, {
        scale,
        softCap,
        bias,
      }),
      places: Int32Array.from(rows.keys()),
    };
  const all = new Int32Array(hidden.shape[0]).fill(IGNORED_LABEL);
  rows.forEach((row, i) => (all[row] = labels[i]!));
  return {
    losses: linearCrossEntropy(hidden, weight, all, { scale, softCap, bias }),
    places: rows,
  };
}

/**
 * What a small model beside another says of its last hidden state by the other's output layer, as it is
 * without scale and cap.
 * @throws PEFT_TASK_HEAD where an adapter stands on that layer
 */
export function besideOutput({ outputLayer, offsets }: ModelOutput, hidden: Tensor2D): ModelOutput {
  if (!outputLayer)
    throw new PeftError(
      'PEFT_TASK_HEAD',
      'an adapter on the output layer does not go with the loss of a model beside this one.',
      { hint: 'set auxiliaryLossWeight to 0, or leave the output layer out of the targets' },
    );
  return { hidden, offsets, outputLayer: { ...outputLayer, scale: 1, softCap: 0 } };
}

/** 0, from a model that has nothing to answer for. `[1]` */
export const noLoss = (hidden: Tensor2D): Tensor1D =>
  tf.mul(tf.reshape(tf.sum(hidden), [1]), 0) as Tensor1D;

/** Row of `hidden` of the first token of each sequence: virtual tokens stand in front of it. */
export function firstRows(output: Pick<ModelOutput, 'offsets'>, offsets: Int32Array): Int32Array {
  return Int32Array.from(
    { length: offsets.length - 1 },
    (_, b) => output.offsets[b + 1]! - (offsets[b + 1]! - offsets[b]!),
  );
}
