/** Gradients that leave while the backward pass goes on. */
import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs';
import type { Collective, OwnedParameter } from '@peft/core';
import { beforeEach, expect, it } from 'vitest';
import { createHostAccumulator } from '../step/host-accumulator.js';
import { sumTree } from '../step/sum-tree.js';
import { createGradientExchange } from './exchange-gradients.js';
import { bucketsOf, defaultBucketBytes } from './gradient-buckets.js';
import { runLocalRanks } from './local-ranks.js';
import { dealSum } from './rank-shares.js';

const LENGTH = 6;
const WORKED = { losses: new Float64Array(2), told: [], isAborted: false };

let tensors: number;
beforeEach(() => {
  tensors = tf.memory().numTensors;
});

const parametersOf = (lengths: readonly number[]) =>
  lengths.map((length, i) => ({
    key: `p${i}`,
    parameter: { shape: [length] } as unknown as OwnedParameter,
  }));

it('fills buckets from the last parameter to the first', () => {
  const { buckets, length } = bucketsOf(parametersOf([10, 1, 4, 4]), 3, 32);
  expect(buckets.map(({ places }) => places.map(({ key }) => key))).toEqual([
    ['p3', 'p2'],
    ['p1', 'p0'],
  ]);
  // 8 numbers are three segments of 3, 11 three of 4
  expect(buckets.map(({ start, segmentLength }) => [start, segmentLength])).toEqual([
    [0, 3],
    [9, 4],
  ]);
  expect(length).toBe(21);
  expect(bucketsOf(parametersOf([10, 1, 4, 4]), 3, Infinity).buckets).toHaveLength(1);
  expect(defaultBucketBytes(4)).toBe(8 * 2 ** 20);
  expect(defaultBucketBytes(1024)).toBe(256 * 2 ** 20);
});

/** Three layers, y ← tanh(y · w), whose backward pass says when it comes to each. */
function layers(told: string[]) {
  const variables = tf.tidy(() =>
    [0.5, -0.25, 0.75].map((value) => tf.variable(tf.fill([LENGTH], value))),
  );
  const layer = (i: number) =>
    tf.customGrad((y, save) => {
      const value = tf.tanh(y as Tensor);
      (save as (saved: Tensor[]) => void)([value]);
      return {
        value,
        gradFunc: (dy: Tensor, [made]: Tensor[]) => {
          told.push(`layer ${i}`);
          return tf.mul(dy, tf.sub(1, tf.square(made!)));
        },
      };
    });
  const loss = (x: number) => () =>
    variables
      .reduce<Tensor>((y, w, i) => layer(i)(tf.mul(y, w)), tf.linspace(0, x, LENGTH))
      .sum() as Scalar;
  return { variables, loss };
}

const accumulated = (variables: readonly Variable[]) =>
  variables.map((value, i) => ({
    key: `w${i}`,
    parameter: { value, shape: value.shape } as unknown as OwnedParameter,
  }));

/** One micro-batch on each rank. @returns what rank 0 did, and the sums that all have */
async function oneStep(collective: Collective, bucketBytes: number) {
  const told: string[] = [];
  const { variables, loss } = layers(told);
  const parameters = accumulated(variables);
  const heard: Collective = {
    ...collective,
    send: (values, to, channel) => {
      told.push(`${channel === 1 ? 'parts' : 'sums'} to ${to}`);
      return collective.send(values, to, channel);
    },
  };
  const exchange = createGradientExchange(heard, parameters, 1, bucketBytes);
  const accumulator = createHostAccumulator(parameters);
  exchange.begin(dealSum(sumTree([1, 1], 'pairwise'), collective.size));
  await accumulator.add(loss(collective.rank + 1), 0, (key, sum) => void exchange.put(key, sum));
  const { gradients } = await exchange.end(WORKED, accumulator.sum);
  const sums = Object.entries(gradients).map(
    ([key, values]) => [key, ...(values as Float32Array)] as const,
  );
  tf.dispose(variables);
  return { told, sums };
}

it('sends what a layer is done with before the layers in front of it, and adds the same', async () => {
  const [whole] = await runLocalRanks(2, (collective) => oneStep(collective, Infinity));
  const [each, other] = await runLocalRanks(2, (collective) => oneStep(collective, 4 * LENGTH));
  expect(whole!.told).toEqual(['layer 2', 'layer 1', 'layer 0', 'parts to 1', 'sums to 1']);
  expect(each!.told.filter((word) => !word.startsWith('sums'))).toEqual([
    ...['layer 2', 'parts to 1', 'layer 1', 'parts to 1', 'layer 0', 'parts to 1'],
  ]);
  expect(each!.told.filter((word) => word.startsWith('sums'))).toHaveLength(3);
  expect(each!.sums).toEqual(whole!.sums);
  expect(other!.sums).toEqual(whole!.sums);
  expect(tf.memory().numTensors).toBe(tensors);
});

/** Milliseconds that pass only when everybody waits. */
it('hides what a slow link needs behind the layers in front', async () => {
  // a layer takes 20 turns of the event loop, a number on the link one
  const waitedFor = async (bucketBytes: number): Promise<number> => {
    const [turns] = await runLocalRanks(2, async (collective) => {
      const link = slowLink(collective);
      const { variables, loss } = layers([]);
      const parameters = accumulated(variables);
      const exchange = createGradientExchange(link, parameters, 1, bucketBytes);
      const accumulator = createHostAccumulator(parameters);
      exchange.begin(dealSum(sumTree([1, 1], 'pairwise'), 2));
      await accumulator.add(loss(1), 0, async (key, sum) => {
        for (let turn = 0; turn < 20; turn += 1) await link.turn();
        exchange.put(key, sum);
      });
      const computed = link.turns();
      let isOver = false;
      const ended = exchange.end(WORKED, accumulator.sum).then(() => (isOver = true));
      while (!isOver) await link.turn();
      await ended;
      tf.dispose(variables);
      return link.turns() - computed;
    });
    return turns!;
  };
  const [hidden, exposed] = [await waitedFor(4 * LENGTH), await waitedFor(Infinity)];
  // half of three layers as parts, and as sums; half of one
  expect(exposed).toBeGreaterThanOrEqual(3 * LENGTH);
  expect(hidden).toBeGreaterThanOrEqual(LENGTH);
  expect(hidden).toBeLessThan(1.5 * LENGTH);
});

/** Messages take a turn for every number, one after the other. */
function slowLink(collective: Collective) {
  let now = 0;
  let free = 0;
  const waiting: { readonly at: number; readonly go: () => void }[] = [];
  return {
    ...collective,
    turns: () => now,
    turn: async () => {
      await new Promise(setImmediate);
      now += 1;
      for (const { at, go } of waiting) if (at === now) go();
    },
    send: async (values: Float32Array, to: number, channel?: number) => {
      const copy = values.slice();
      free = Math.max(free, now) + values.length;
      const at = free;
      await new Promise<void>((go) => waiting.push({ at, go }));
      await collective.send(copy, to, channel);
    },
  } as Collective & { turns(): number; turn(): Promise<void> };
}
