/**
 * A packed batch computes each sequence as if it were alone, dropout can be repeated, and
 * recomputation changes nothing.
 */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  architectureFor,
  loadModel,
  type HeadOptions,
  type Model,
  type ModelBatch,
} from '@peft/core';
import { openCheckpoint } from '@peft/hub';
import { architectures } from '@peft/models';
import { crossEntropy, offsetsOf, type Engine } from '@peft/ops';
import { toBeAllclose } from '@peft/testing';
import { openEngine } from '../../../tools/golden/engines.js';
import { FIXTURES, readConfigJson } from './fixtures.js';

expect.extend({ toBeAllclose });

const HEADS: Record<string, HeadOptions> = {
  bert: { kind: 'token-classification', outputs: 4 },
  'xlm-roberta': { kind: 'sequence-classification', outputs: 2 },
  electra: { kind: 'pooled-linear', outputs: 3, pooling: 'mean' },
  'deberta-v2': { kind: 'sequence-classification', outputs: 2 },
  'deberta-v2-convolution': { kind: 'token-classification', outputs: 2 },
  distilbert: { kind: 'pooled-linear', outputs: 2 },
  modernbert: { kind: 'token-classification', outputs: 2 },
  t5: { kind: 'pooled-linear', outputs: 2 },
  'flan-t5': { kind: 'seq2seq-lm' },
  llama: { kind: 'causal-lm' },
  mistral: { kind: 'token-classification', outputs: 2 },
  qwen3: { kind: 'sequence-classification', outputs: 2 },
  gpt2: { kind: 'causal-lm' },
  gemma2: { kind: 'causal-lm' },
  phi3: { kind: 'causal-lm' },
};
const SEQUENCES = [[5, 9, 14, 22, 31, 40, 8, 6, 11, 12, 13], [7], [19, 20, 21, 6, 30]];

const pack = (sequences: readonly (readonly number[])[]): ModelBatch => {
  const tokens = {
    inputIds: Int32Array.from(sequences.flat()),
    offsets: offsetsOf(sequences.map(({ length }) => length)),
  };
  return {
    ...tokens,
    decoder: {
      inputIds: Int32Array.from(sequences.flatMap((ids) => [0, ...ids.slice(0, 2)])),
      offsets: offsetsOf(sequences.map((ids) => 1 + Math.min(2, ids.length))),
    },
  };
};

describe.each(Object.keys(HEADS))('%s', (folder) => {
  let engine: Engine;
  let model: Model;
  beforeAll(async () => {
    engine = await openEngine('portable');
    const json = readConfigJson(`models/${folder}`);
    const store = openCheckpoint(join(FIXTURES, 'models', folder));
    const isPretrained = {
      ...store,
      get: (name: string) =>
        HEADS[folder]!.kind.endsWith('classification') && /^(classifier|score|head)\b/.test(name)
          ? undefined
          : store.get(name),
    };
    model = loadModel(
      architectureFor(json['model_type'], architectures),
      json,
      isPretrained,
      engine,
      { head: HEADS[folder]! },
    );
    store.close();
  });
  afterAll(() => {
    model.dispose();
    engine.dispose();
  });

  const logitsOf = (sequences: readonly (readonly number[])[]): number[][] =>
    tf.tidy(() => model.forward(pack(sequences)).logits!.arraySync());

  test('gives each sequence the logits that it has alone, in any order', () => {
    const alone = SEQUENCES.map((sequence) => logitsOf([sequence]));
    expect(logitsOf(SEQUENCES).flat()).toBeAllclose(alone.flat(2), { atol: 1e-5 });
    expect(logitsOf([...SEQUENCES].reverse()).flat()).toBeAllclose([...alone].reverse().flat(2), {
      atol: 1e-5,
    });
  });

  test('repeats its dropout from the random parts, with and without recomputation', () => {
    const loss = (randomParts: readonly number[], checkpointing = false): number =>
      tf.tidy(() => {
        const { logits } = model.forward(pack(SEQUENCES), {
          training: true,
          randomParts,
          checkpointing,
        });
        return tf.sum(crossEntropy(logits!, new Int32Array(logits!.shape[0]))).dataSync()[0]!;
      });
    expect(loss([1, 2])).toBe(loss([1, 2]));
    expect(loss([1, 2], true)).toBe(loss([1, 2]));
    // their configs and heads have no dropout
    const hasNone = ['llama', 'qwen3', 'gemma2', 'phi3', 'modernbert'].includes(folder);
    expect(loss([1, 3]) === loss([1, 2])).toBe(hasNone);
  });

  test('gives the same gradients with recomputation, and leaves no tensor behind', () => {
    const name = model.description.sites.find(({ role }) => role === 'norm.ffn')!.path + '.weight';
    const adapter = model.addAdapter(
      'probe',
      { name: 'probe', parts: [] },
      { alsoUnfreeze: [name] },
    );
    const { value: variable } = adapter.unfrozen(name)!;
    const before = tf.memory().numTensors;
    const gradient = (checkpointing: boolean): number[] => {
      const { value, grads } = tf.variableGrads(() => {
        const { logits } = model.forward(pack(SEQUENCES), {
          training: true,
          randomParts: [4],
          checkpointing,
        });
        return tf.sum(crossEntropy(logits!, new Int32Array(logits!.shape[0]))).asScalar();
      }, [variable]);
      const values = [...grads[variable.name]!.dataSync()];
      tf.dispose([value, ...Object.values(grads)]);
      return values;
    };
    expect(gradient(true)).toBeAllclose(gradient(false), { atol: 1e-5 });
    expect(tf.memory().numTensors).toBe(before);
    model.deleteAdapter('probe');
  });

  test('makes the logits of the rows that are asked for', () => {
    const all = logitsOf(SEQUENCES);
    if (!model.description.head.kind.endsWith('-lm')) return;
    const some = tf.tidy(() =>
      model.forward(pack(SEQUENCES), { logitRows: Int32Array.of(2, 0) }).logits!.arraySync(),
    );
    expect(some.flat()).toBeAllclose([...all[2]!, ...all[0]!], { atol: 1e-6 });
    tf.tidy(() => {
      const { logits, outputLayer } = model.forward(pack(SEQUENCES), { logitRows: 'none' });
      expect(logits).toBeUndefined();
      expect(outputLayer?.weight.shape).toEqual([
        model.description.vocabularySize,
        model.description.hiddenSize,
      ]);
    });
  });
});
