/**
 * Gradient sums on the device: nothing is read but the losses of a step and the squares of its
 * gradients, both at once when the last micro-batch has been added.
 */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor } from '@tensorflow/tfjs';
import { readInScope, readValues } from '@peft/ops';
import { squaresOf } from '@peft/optim';
import {
  differentiate,
  type AccumulatedParameter,
  type GradientAccumulator,
} from './gradient-accumulator.js';

type Sum = Record<string, Tensor>;

/** For engines whose tensors lie in the memory of a device. */
export function createDeviceAccumulator(
  parameters: readonly AccumulatedParameter[],
): GradientAccumulator {
  const variables = parameters.map(({ parameter }) => parameter.value);
  const keys = new Map<string, string>(parameters.map(({ key }, i) => [variables[i]!.name, key]));
  const waiting: Sum[] = [];
  const losses: Scalar[] = [];
  const addToLast = (added: Sum): void => {
    const last = waiting.at(-1)!;
    for (const [key, tensor] of Object.entries(added)) {
      const before = last[key];
      last[key] = before ? tf.keep(tf.add(before, tensor)) : tensor;
      if (before) tf.dispose([before, tensor]);
    }
  };
  /** Takes the tensors over. */
  const take = (made: Readonly<Record<string, Tensor>>, joins: number): void => {
    if (joins === 0) waiting.push({});
    addToLast(
      Object.fromEntries(
        Object.entries(made).map(([name, gradient]) => [keys.get(name)!, tf.keep(gradient)]),
      ),
    );
    for (let join = 1; join < joins; join += 1) addToLast(waiting.pop()!);
  };
  const reset = (): void => {
    tf.dispose([...waiting.splice(0).flatMap((sum) => Object.values(sum)), ...losses.splice(0)]);
  };
  return {
    get sum() {
      return waiting.at(-1) ?? {};
    },
    reset,
    addGradients: (made, joins) => {
      const own = Object.entries(made).map(([name, tensor]) => [name, tf.clone(tensor)] as const);
      take(Object.fromEntries(own), joins);
      return Promise.resolve();
    },
    add: (loss, joins) => {
      const { value, gradients: made } = differentiate(loss, variables);
      losses.push(tf.keep(value));
      take(made, joins);
      return Promise.resolve();
    },
    measure: async () => {
      const count = losses.length;
      const gradients = Object.values(waiting.at(-1) ?? {});
      if (count + gradients.length === 0) return { losses: [], norm: () => 0 };
      const read = await readInScope(() =>
        readValues(
          tf.concat([
            ...(count > 0 ? [tf.stack(losses)] : []),
            ...(gradients.length > 0 ? [squaresOf(gradients)] : []),
          ]),
        ),
      );
      const norm = Math.sqrt(read.slice(count).reduce((sum, square) => sum + square, 0));
      return { losses: [...read.subarray(0, count)], norm: () => norm };
    },
    dispose: reset,
  };
}
