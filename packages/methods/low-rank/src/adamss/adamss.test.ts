/** What no case of PEFT's shows: bases that a file was not made for, and rows that have no clusters. */
import {
  describeModel,
  loadAdapter,
  loadModel,
  randomWeights,
  saveAdapter,
  type Model,
} from '@peft/core';
import { bert } from '@peft/models';
import type { Engine } from '@peft/ops';
import { tinyModels, useModel, usePortableEngine, useTemporaryFolder } from '@peft/testing';
import { expect, test } from 'vitest';
import { adamss } from './adamss.js';
import { kMeans, ofSizes } from './k-means.js';

let engine: Engine;
let model: Model;
let folder: string;
usePortableEngine((made) => (engine = made));
useModel(
  () => tinyModels()[0]!.open(engine),
  (made) => (model = made),
);
useTemporaryFolder((made) => (folder = made));

const SAME_SIZES = {
  model_type: 'bert',
  vocab_size: 23,
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 20,
};

test('a file is refused on a base whose outputs cluster otherwise', async () => {
  model.addAdapter('a', adamss({ rank: 4, subspaces: 3 }));
  await saveAdapter(model, 'a', folder, { allowUntrained: true });
  const head = { kind: 'sequence-classification', outputs: 3 } as const;
  const weights = randomWeights(describeModel(bert, bert.parseConfig(SAME_SIZES), head));
  const other = loadModel(bert, SAME_SIZES, weights, engine, { head });
  try {
    await expect(loadAdapter(other, folder, { methods: [adamss] })).rejects.toMatchObject({
      code: 'PEFT_ADAPTER_MISMATCH',
      message: expect.stringMatching(
        /the file has subspaces of [\d, ]+ outputs at .*query/,
      ) as string,
    });
    expect(other.activeAdapters).toEqual([]);
  } finally {
    other.dispose();
  }
});

test('as many directions as outputs are refused, whose rows are as far from each other', () => {
  expect(() => model.addAdapter('a', adamss({ rank: 100 }))).toThrow(
    /rank 100 keeps all directions of the \d+ outputs of .*query/,
  );
});

test('k-means finds what scikit-learn finds', () => {
  const points = [0, 0.1, 5, 5.2, 9, 9.1, 9.3, 20].map((x) => Float64Array.of(x, x / 2));
  // KMeans(n_clusters=k, init='random', n_init=1, max_iter=10, random_state=123456789) of scikit-learn 1.9
  expect([3, 4, 5].map((count) => kMeans(points, count, 10, 123456789).labels.join(''))).toEqual([
    '22000001',
    '22001113',
    '22220134',
  ]);
});

test('what lies between two clusters goes where the file has it, and nothing else', () => {
  const labels = Int32Array.of(0, 0, 1, 1);
  const distances = [
    [0.1, 0.9],
    [0.50001, 0.5],
    [0.5, 0.50002],
    [0.9, 0.1],
  ].map((row) => Float64Array.from(row));
  const clusters = { labels, distances };
  expect(ofSizes(clusters, [2, 2], 1e-4)).toEqual(labels);
  expect(ofSizes(clusters, [1, 3], 1e-4)).toEqual(Int32Array.of(0, 1, 1, 1));
  expect(ofSizes(clusters, [3, 1], 1e-4)).toEqual(Int32Array.of(0, 0, 0, 1));
  expect(ofSizes(clusters, [4, 0], 1e-4)).toBeUndefined();
  expect(ofSizes(clusters, [2, 1], 1e-4)).toBeUndefined();
});
