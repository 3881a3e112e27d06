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

/** Gradients by parameter name; a parameter that nothing depends on has none. */
export type GradientSums = Readonly<Record<string, Float32Array>>;

/** Sums gradients over the micro-batches of a step, in float32 and in the order of a tree. */
export interface GradientAccumulator {
  /**
   * Adds the gradient of a scalar. Parameters that it does not depend on get none.
   * @param loss runs on the tape; its tensors are freed.
   * @param joins how many sums are complete with it: so often the last two become one.
   * @returns the scalar's value.
   * @throws PEFT_TRAIN_NO_GRADIENT when it depends on none of them
   */
  add(loss: () => Scalar, joins: number): number;
  /** The last sum; valid until the next `reset`. */
  readonly sum: GradientSums;
  reset(): void;
}

/**
 * Buffers live as long as the accumulator and are reused step by step: one for each parameter and
 * sum that waits for another. No tensor is left behind.
 */
export function createGradientAccumulator(
  parameters: readonly { readonly key: string; readonly parameter: OwnedParameter }[],
): GradientAccumulator {
  const variables = parameters.map(({ parameter }) => parameter.value);
  const keys = new Map<string, string>(parameters.map(({ key }, i) => [variables[i]!.name, key]));
  /** By the place of the sum that they are for. */
  const buffers: Map<string, Float32Array>[] = [];
  const waiting: Record<string, Float32Array>[] = [];
  const begin = (key: string, values: Float32Array): void => {
    const own = (buffers[waiting.length - 1] ??= new Map<string, Float32Array>());
    const buffer = own.get(key) ?? new Float32Array(values.length);
    buffer.set(values);
    own.set(key, buffer);
    waiting.at(-1)![key] = buffer;
  };
  const addToLast = (added: GradientSums): void => {
    const last = waiting.at(-1)!;
    for (const [key, values] of Object.entries(added)) {
      const sum = last[key];
      if (sum) for (let i = 0; i < values.length; i += 1) sum[i]! += values[i]!;
      else begin(key, values);
    }
  };
  return {
    get sum() {
      return waiting.at(-1) ?? {};
    },
    reset: () => {
      waiting.length = 0;
    },
    add: (loss, joins) => {
      const { value, gradients: made } = differentiate(loss, variables);
      try {
        if (joins === 0) waiting.push({});
        // the optimiser computes on numbers, so they have to come here, a parameter at a time
        for (const [variableName, gradient] of Object.entries(made))
          addToLast({ [keys.get(variableName)!]: gradient.dataSync<'float32'>() });
        for (let join = 1; join < joins; join += 1) addToLast(waiting.pop()!);
        return value.dataSync()[0]!; // the loss is shown, and a NaN must be seen before the update
      } finally {
        tf.dispose([value, ...Object.values(made)]);
      }
    },
  };
}

/** In a scope of its own. */
function differentiate(
  loss: () => Scalar,
  variables: Variable[],
): { value: Scalar; gradients: Record<string, Tensor> } {
  try {
    return tf.tidy(() => variableGradients(loss, variables));
  } catch (cause) {
    if (!(cause instanceof PeftError && cause.code === 'PEFT_GRADIENT_NONE')) throw cause;
    throw new PeftError(
      'PEFT_TRAIN_NO_GRADIENT',
      'trainer: the loss depends on none of the trainable parameters.',
      {
        hint:
          'the adapter may sit on a part of the model that the task does not read: ' +
          'look at its sites, and at the head',
        cause,
      },
    );
  }
}
