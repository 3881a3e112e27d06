/**
 * Gradient sums in host memory. Buffers live as long as the accumulator and are reused step by step:
 * one for each parameter and sum that waits for another. No tensor is left behind.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { globalNorm } from '@peft/optim';
import {
  differentiate,
  type AccumulatedParameter,
  type GradientAccumulator,
} from './gradient-accumulator.js';

type Sum = Readonly<Record<string, Float32Array>>;

/** For engines whose tensors lie in host memory. */
export function createHostAccumulator(
  parameters: readonly AccumulatedParameter[],
): GradientAccumulator {
  const variables = parameters.map(({ parameter }) => parameter.value);
  const keys = new Map<string, string>(parameters.map(({ key }, i) => [variables[i]!.name, key]));
  /** By the place of the sum that they are for. */
  const buffers: Map<string, Float32Array>[] = [];
  const waiting: Record<string, Float32Array>[] = [];
  let losses: number[] = [];
  const begin = (key: string, values: Float32Array): void => {
    const own = (buffers[waiting.length - 1] ??= new Map<string, Float32Array>());
    const buffer = own.get(key) ?? new Float32Array(values.length);
    buffer.set(values);
    own.set(key, buffer);
    waiting.at(-1)![key] = buffer;
  };
  const addToLast = (added: Sum): void => {
    const last = waiting.at(-1)!;
    for (const [key, values] of Object.entries(added)) {
      const sum = last[key];
      if (sum) for (let i = 0; i < values.length; i += 1) sum[i]! += values[i]!;
      else begin(key, values);
    }
  };
  const addGradients = async (
    made: Readonly<Record<string, Tensor>>,
    joins: number,
  ): Promise<void> => {
    if (joins === 0) waiting.push({});
    // the optimiser computes on numbers, so they have to come here, a parameter at a time
    for (const [variableName, gradient] of Object.entries(made))
      addToLast({ [keys.get(variableName)!]: await gradient.data<'float32'>() });
    for (let join = 1; join < joins; join += 1) addToLast(waiting.pop()!);
  };
  const sum = (): Sum => waiting.at(-1) ?? {};
  return {
    get sum() {
      return sum();
    },
    reset: () => {
      waiting.length = 0;
      losses = [];
    },
    addGradients,
    add: async (loss, joins) => {
      const { value, gradients: made } = differentiate(loss, variables);
      try {
        await addGradients(made, joins);
        losses.push((await value.data())[0]!); // the loss is shown, and a NaN must be seen in time
      } finally {
        tf.dispose([value, ...Object.values(made)]);
      }
    },
    measure: () => Promise.resolve({ losses, norm: () => globalNorm(sum()) }),
    dispose: () => undefined,
  };
}
