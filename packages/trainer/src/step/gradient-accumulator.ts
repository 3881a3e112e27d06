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

/** Sums gradients over the micro-batches of a step, in float32 and in their order. */
export interface GradientAccumulator {
  /**
   * Adds the gradient of a scalar. Parameters that it does not depend on get none.
   * @param loss runs on the tape; its tensors are freed.
   * @returns the scalar's value.
   * @throws PEFT_TRAIN_NO_GRADIENT when it depends on none of them
   */
  add(loss: () => Scalar): number;
  /** The sums so far by parameter name; valid until the next `reset`. */
  readonly gradients: Readonly<Record<string, Float32Array>>;
  reset(): void;
}

/**
 * Buffers live as long as the accumulator and are reused step by step. No tensor is left behind.
 */
export function createGradientAccumulator(
  parameters: readonly { readonly key: string; readonly parameter: OwnedParameter }[],
): GradientAccumulator {
  const buffers = new Map<string, Float32Array>();
  const variables = parameters.map(({ parameter }) => parameter.value);
  const keys = new Map<string, string>(parameters.map(({ key }, i) => [variables[i]!.name, key]));
  let gradients: Record<string, Float32Array> = {};
  return {
    get gradients() {
      return gradients;
    },
    reset: () => {
      gradients = {};
    },
    add: (loss) => {
      const { value, gradients: made } = differentiate(loss, variables);
      try {
        for (const [variableName, gradient] of Object.entries(made)) {
          const key = keys.get(variableName)!;
          // the optimiser computes on numbers, so they have to come here
          const values = gradient.dataSync<'float32'>();
          const sum = gradients[key];
          if (sum) for (let i = 0; i < values.length; i += 1) sum[i]! += values[i]!;
          else {
            const buffer = buffers.get(key) ?? new Float32Array(values.length);
            buffer.set(values);
            buffers.set(key, buffer);
            gradients[key] = buffer;
          }
        }
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
