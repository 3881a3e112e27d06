/**
 * Against transformers: cases of tools/cases/make_generation_cases.py. Greedy text is in the golden
 * cases of the models.
 */
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { generate, tokenDistribution, type GenerationOptions } from '../src/index.js';
import { openFixture } from './fixture-models.js';

interface Case {
  readonly model: string;
  readonly prompts: readonly number[][];
  readonly options: GenerationOptions;
  readonly results: readonly { readonly ids: number[]; readonly score?: number }[];
}
interface Cases {
  readonly generation: readonly Case[];
  readonly distributions: {
    readonly logits: number[];
    readonly rows: readonly {
      readonly options: { temperature: number; topK: number; topP: number };
      readonly probabilities: number[];
    }[];
  };
}
const { generation, distributions } = JSON.parse(
  readFileSync(new URL('./generation-cases.json', import.meta.url), 'utf8'),
) as Cases;

let engine: Engine;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
});
afterAll(() => engine.dispose());

describe('texts equal those of transformers, token for token', () => {
  test.each([...new Set(generation.map(({ model }) => model))])(
    '%s: beam searches and repetition penalties',
    async (name) => {
      const before = tf.memory().numTensors;
      const model = openFixture(name, engine);
      for (const { prompts, options, results } of generation.filter(
        (each) => each.model === name,
      )) {
        for (const cache of [true, false]) {
          const made = await generate(model, prompts, { ...options, cache });
          expect(
            made.map(({ ids }) => ids),
            JSON.stringify(options),
          ).toEqual(results.map(({ ids }) => ids));
          made.forEach(
            ({ score }, b) =>
              score !== undefined && expect(score).toBeCloseTo(results[b]!.score!, 3),
          );
        }
      }
      model.dispose();
      expect(tf.memory().numTensors).toBe(before);
    },
  );
});

test.each(distributions.rows)(
  'what is drawn from has the probabilities of transformers with $options',
  ({ options, probabilities }) => {
    const { ids, probabilities: made } = tokenDistribution(
      Float32Array.from(distributions.logits),
      options,
    );
    const full = new Float64Array(probabilities.length);
    ids.forEach((id, i) => (full[id] = made[i]!));
    probabilities.forEach((expected, id) => expect(full[id]).toBeCloseTo(expected, 6));
  },
);
