/**
 * Gradients of one optimiser step, summed over its micro-batches:
 *
 *   g = Σ_m ∇[ Σ_{i∈m} loss_i / count + extra / M ]
 *
 * count is that of the whole batch and M its number of micro-batches, so that any split of a batch
 * gives the same sum.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs';
import type { OwnedParameter } from '@peft/core';
import { PeftError } from '@peft/errors';
import { variableGradients } from '@peft/ops';
import type { Gradients } from '@peft/optim';

/** Sums gradients over the micro-batches of a step, in float32 and in the order of a tree. */
export interface GradientAccumulator {
  /**
   * Adds the gradient of a scalar. Parameters that it does not depend on get none.
   * @param loss runs on the tape; its tensors are freed.
   * @param joins how many sums are complete with it: so often the last two become one.
   * @param handOn hears of parameters whose last sum is complete, while the backward pass goes on; not
   *   of all, and of none where gradients lie in the memory of a device.
   * @throws PEFT_TRAIN_NO_GRADIENT when it depends on none of them
   */
  add(loss: () => Scalar, joins: number, handOn?: HandOn): Promise<void>;
  /**
   * Adds gradients that were made elsewhere, by the variables' names; the caller disposes them when
   * they have been added.
   * @param joins as above
   */
  addGradients(gradients: Readonly<Record<string, Tensor>>, joins: number): Promise<void>;
  /** The last sum; valid until the next `reset`. A parameter that nothing depends on has none. */
  readonly sum: Gradients;
  /** The scalars' values since the last `reset`, and the global norm of the last sum. */
  measure(): Promise<StepMeasure>;
  reset(): void;
  /** Frees what is left of the last step. */
  dispose(): void;
}

/** Gets the complete sum of a parameter, which it must not keep; the backward pass waits for it. */
export type HandOn = (key: string, sum: Float32Array) => void | Promise<void>;

/** What decides whether and how a step updates the parameters. */
export interface StepMeasure {
  readonly losses: readonly number[];
  /** √Σ g² of this process's sum. */
  norm(): number | Promise<number>;
}

/** A parameter that trains, under its key. */
export interface AccumulatedParameter {
  readonly key: string;
  readonly parameter: OwnedParameter;
}

/** The value of a scalar and its gradients by the variables' names, in a scope of its own. */
export function differentiate(
  loss: () => Scalar,
  variables: readonly Variable[],
): { value: Scalar; gradients: Record<string, Tensor> } {
  try {
    return tf.tidy(() => variableGradients(loss, variables));
  } catch (cause) {
    if (!(cause instanceof PeftError && cause.code === 'PEFT_GRADIENT_NONE')) throw cause;
    throw noGradientError(cause);
  }
}

/** A run that can train nothing. */
export const noGradientError = (cause?: unknown): PeftError =>
  new PeftError(
    'PEFT_TRAIN_NO_GRADIENT',
    'trainer: the loss depends on none of the trainable parameters.',
    {
      hint:
        'the adapter may sit on a part of the model that the task does not read: ' +
        'look at its sites, and at the head',
      cause,
    },
  );
