/**
 * Gradient sums in host memory. Buffers live as long as the accumulator and are reused step by step:
 * one for each parameter and sum that waits for another. No tensor is left behind.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor } from '@tensorflow/tfjs';
import { recordGradients } from '@peft/ops';
import { globalNorm } from '@peft/optim';
import {
  differentiate,
  noGradientError,
  type AccumulatedParameter,
  type GradientAccumulator,
  type HandOn,
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
  const addAt = (level: number, key: string, values: Float32Array): void => {
    const sum = waiting[level]![key];
    if (sum) {
      for (let i = 0; i < values.length; i += 1) sum[i]! += values[i]!;
      return;
    }
    const own = (buffers[level] ??= new Map<string, Float32Array>());
    const buffer = own.get(key) ?? new Float32Array(values.length);
    buffer.set(values);
    own.set(key, buffer);
    waiting[level]![key] = buffer;
  };
  const addToLast = (added: Sum): void => {
    for (const [key, values] of Object.entries(added)) addAt(waiting.length - 1, key, values);
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
  /** The same additions, a parameter at a time. */
  const addOneByOne = async (loss: () => Scalar, joins: number, handOn: HandOn): Promise<void> => {
    const recorded = recordGradients(loss, variables);
    try {
      const [value] = await recorded.value.data(); // it is shown, and a NaN must be seen in time
      if (joins === 0) waiting.push({});
      const last = waiting.length - Math.max(1, joins);
      const joined = new Set<string>();
      const join = (key: string): void => {
        for (let level = waiting.length - 1; level > last; level -= 1) {
          const part = waiting[level]![key];
          if (part) addAt(level - 1, key, part);
        }
        joined.add(key);
      };
      for (const [variable, gradient] of recorded.oneByOne()) {
        const { key } = parameters[variable]!;
        try {
          addAt(waiting.length - 1, key, await gradient.data<'float32'>());
        } finally {
          gradient.dispose();
        }
        join(key);
        await handOn(key, waiting[last]![key]!);
      }
      if (joined.size === 0) throw noGradientError();
      // what this micro-batch does not depend on
      for (const key of new Set(waiting.slice(last).flatMap((sum) => Object.keys(sum))))
        if (!joined.has(key)) join(key);
      waiting.length = last + 1;
      losses.push(value!);
    } finally {
      recorded.dispose();
      recorded.value.dispose();
    }
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
    add: async (loss, joins, handOn) => {
      if (handOn) return addOneByOne(loss, joins, handOn);
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
