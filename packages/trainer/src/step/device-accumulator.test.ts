/** Sums on the device are those in host memory, of gradients that were made here and elsewhere. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { OwnedParameter } from '@peft/core';
import { beforeAll, expect, test } from 'vitest';
import { createDeviceAccumulator } from './device-accumulator.js';
import { createHostAccumulator } from './host-accumulator.js';

beforeAll(() => tf.setBackend('cpu'));

const SHAPES: readonly number[][] = [[3], [2, 2]];

/** Gradient m of the variable i, whose sums round. */
const gradient = (m: number, i: number): Tensor =>
  tf.tidy(() =>
    tf.fill(SHAPES[i]!, 1 / (3 + m)).add(
      tf
        .range(
          0,
          SHAPES[i]!.reduce((a, b) => a * b),
        )
        .reshape(SHAPES[i]!),
    ),
  );

test('added gradients make the bytes that host memory makes, and their norm', async () => {
  const before = tf.memory().numTensors;
  const values = SHAPES.map((shape) => tf.tidy(() => tf.variable(tf.zeros(shape))));
  const parameters = values.map((value, i) => ({
    key: `p${i}`,
    parameter: { name: `p${i}`, value } as OwnedParameter,
  }));
  const measured = [];
  for (const make of [createHostAccumulator, createDeviceAccumulator]) {
    const accumulator = make(parameters);
    for (const step of [0, 1]) {
      // the tree of four sums: ((0 + 1) + (2 + 3)); the second parameter has no gradient in the third
      for (const [m, joins] of [0, 1, 0, 2].entries()) {
        const made = Object.fromEntries(
          values.flatMap((value, i) =>
            m === 2 && i === 1 ? [] : [[value.name, gradient(m + step, i)]],
          ),
        );
        await accumulator.addGradients(made, joins);
        tf.dispose(made); // the caller's
      }
      const { losses, norm } = await accumulator.measure();
      const sums = Object.fromEntries(
        Object.entries(accumulator.sum).map(([key, sum]) => [
          key,
          [...(sum instanceof tf.Tensor ? sum.dataSync<'float32'>() : sum)],
        ]),
      );
      measured.push({ step, losses, sums, norm: (await norm()).toFixed(4) });
      accumulator.reset();
      expect(accumulator.sum).toEqual({});
    }
    accumulator.dispose();
  }
  const [host, device] = [measured.slice(0, 2), measured.slice(2)];
  expect(device).toEqual(host);
  expect(Object.keys(host[0]!.sums)).toEqual(['p0', 'p1']);
  expect(Number(host[0]!.norm)).toBeGreaterThan(1);
  tf.dispose(values);
  expect(tf.memory().numTensors).toBe(before);
});
