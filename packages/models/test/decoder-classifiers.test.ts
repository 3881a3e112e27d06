/**
 * Decoders with `score.weight` against transformers' `…ForSequenceClassification` (5.17.0, eager attention), whose
 * batch is padded on the right: each text is told by its last token, whatever stands beside it.
 */
import { join } from 'node:path';
import { architectureFor, loadModel, type Model } from '@peft/core';
import { openCheckpoint } from '@peft/hub';
import { memorySource, type Engine } from '@peft/ops';
import { usePortableEngine } from '@peft/testing';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { architectures } from '../src/index.js';
import { FIXTURES, readConfigJson } from './fixtures.js';

const TEXTS = [
  [5, 9, 3, 14, 7, 21, 2, 30],
  [6, 4, 17],
];
/** Logits of the texts, with weight (i, j) of the head ((37i + 11j) mod 23 − 11) / 20. */
const LOGITS: Readonly<Record<string, readonly number[]>> = {
  llama: [-0.57269, 1.4174, 4.47644, 3.34139, -2.13305, -0.12406],
  gpt2: [4.46151, -1.3797, 0.29104, 0.02218, -1.26181, -2.26702],
  qwen2: [-1.36635, -1.58718, 0.46908, 0.90573, 2.57105, -3.35293],
  qwen3: [1.81854, 0.47846, -3.35238, 2.9976, -2.67349, 0.56937],
  mistral: [-3.06497, 2.26183, -1.32218, 0.73512, 3.96216, -3.3879],
  phi3: [-1.13899, -1.36617, 1.94687, -0.17591, -0.74147, 0.67439],
  gemma2: [1.18757, -1.70883, 1.3196, 0.95233, -0.82143, -0.73063],
  gemma3: [-0.47093, 0.90932, -1.79717, 0.63009, -1.42355, -0.12038],
};

describe('a decoder with the head of a checkpoint of transformers', () => {
  let engine: Engine;
  usePortableEngine((active) => (engine = active));

  function open(name: string): Model {
    const config = readConfigJson(`models/${name}`);
    const store = openCheckpoint(join(FIXTURES, 'models', name));
    const width = Number(config['hidden_size'] ?? config['n_embd']);
    const score = Float32Array.from({ length: 3 * width }, (_, at) => {
      const [i, j] = [Math.floor(at / width), at % width];
      return (((37 * i + 11 * j) % 23) - 11) / 20;
    });
    try {
      return loadModel(
        architectureFor(config['model_type'], architectures),
        config,
        {
          names: () => [...store.names(), 'score.weight'],
          get: (tensor) =>
            tensor === 'score.weight' ? memorySource(tensor, [3, width], score) : store.get(tensor),
        },
        engine,
        { head: { kind: 'pooled-linear', outputs: 3 } },
      );
    } finally {
      store.close();
    }
  }
  const logitsOf = (model: Model, texts: readonly (readonly number[])[]): number[] =>
    tf.tidy(() => {
      const offsets = texts.map((_, i) => texts.slice(0, i + 1).flat().length);
      const { logits } = model.forward({
        inputIds: Int32Array.from(texts.flat()),
        offsets: Int32Array.of(0, ...offsets),
      });
      return [...logits!.dataSync()];
    });

  it.each(Object.entries(LOGITS))('%s', (name, expected) => {
    const model = open(name);
    try {
      expect(model.weights.fresh).toEqual(['head.bias']);
      expect(logitsOf(model, TEXTS)).toBeAllclose(expected, { atol: 2e-5, rtol: 1e-5 });
      expect(TEXTS.flatMap((text) => logitsOf(model, [text]))).toBeAllclose(expected, {
        atol: 2e-5,
        rtol: 1e-5,
      });
    } finally {
      model.dispose();
    }
  });
});
