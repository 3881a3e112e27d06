/** Parameters, gradients and five updates of them: what the tests of state on a device start from. */
import * as tf from '@tensorflow/tfjs';
import type { Gradients, TrainableParameter } from '../src/parameters/parameter.js';
import type { Optimizer, OptimizerState } from '../src/rules/optimizer.js';
import type { DeviceStateOptions, DeviceStateStore } from '../src/state/device-state-store.js';
import { stateTensors } from '../src/state/state-tensors.js';

export const noise = (seed: number, length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(seed * 12.9898 + i * 78.233));
/**
 * AdamW's state of them is 153,272 bytes; at 8 KiB a page p1 has seven pages of its own, p2 twelve,
 * and the others share one.
 */
export const shapes = [[5], [7001], [90, 130], [256], [], [0], [4, 49]];
export const groups = [
  { learningRateScale: 1, weightDecay: 0.1 },
  { learningRateScale: 0.9, weightDecay: 0 },
];
export const start = (): TrainableParameter[] =>
  shapes.map((shape, i) => ({
    name: `p${i}`,
    variable: tf.tidy(() => tf.variable(tf.tensor(noise(i, tf.util.sizeFromShape(shape)), shape))),
    group: groups[i % 2]!,
  }));
export const gradientsOf = (
  parameters: readonly TrainableParameter[],
  t: number,
  except: readonly string[] = [],
): Record<string, Float32Array> =>
  Object.fromEntries(
    parameters
      .filter(({ name }) => !except.includes(name))
      .map(({ name, variable }) => [name, noise(10 * t + Number(name.slice(1)), variable.size)]),
  );
export const update = (
  optimizer: Optimizer,
  parameters: readonly TrainableParameter[],
  gradients: Gradients,
  state: OptimizerState,
): Promise<void> =>
  optimizer.update(parameters, gradients, state, { learningRate: 0.01, gradientScale: 0.5 });
const base64 = (values: Float32Array | Uint8Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
export const bytes = async (
  parameters: readonly TrainableParameter[],
  state: OptimizerState,
): Promise<string[]> => [
  ...parameters.map(({ variable }) => base64(new Float32Array(variable.dataSync<'float32'>()))),
  ...(await stateTensors(state)).map(({ name, read }) => `${name} ${base64(read())}`),
];
export const small = (residentBytes?: number): DeviceStateOptions => ({
  pageBytes: 8192,
  residentBytes,
});
/** The result of five updates, without disposing anything. */
export async function trained(
  optimizer: Optimizer,
  store: DeviceStateStore,
): Promise<{ parameters: TrainableParameter[]; state: OptimizerState }> {
  const parameters = start();
  const state = optimizer.init(parameters, { store });
  for (let t = 0; t < 5; t += 1)
    await update(
      optimizer,
      parameters,
      gradientsOf(parameters, t, t === 2 ? ['p0', 'p2'] : []),
      state,
    );
  return { parameters, state };
}
