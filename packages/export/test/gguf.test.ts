import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadLanguageModel, type LanguageModel } from '@peft/predictor';
import { toBeAllclose, useTemporaryFolder } from '@peft/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { exportModel } from '../src/index.js';
import { fixtureAdapter, fixtureModel } from './fixtures.js';
import { llamaProbabilities, openLlamaCpp, type LlamaCpp } from './llama-cpp.js';
import { randomCheckpoint } from './random-checkpoint.js';

expect.extend({ toBeAllclose });
const engine = 'portable';
const to = 'gguf';
let folder = '';
useTemporaryFolder((made) => (folder = made));

const llama = await openLlamaCpp();
afterAll(async () => llama?.dispose());

const TEXTS = [
  'Hello world, 123 日本',
  '  two spaces',
  'tabs\tand\nnewlines\n\n',
  'emoji 👩‍👩‍👧 🎉',
  '<|eot_id|>a<s></s><|im_end|>',
  '1234567 12 1',
  "I'm sure they don't WE'LL",
  'naïve café é',
  'こんにちは世界',
  ' x ',
  '',
];

/** Texts of the fixture, and some more. */
function textsOf(name: string): readonly string[] {
  const { texts } = JSON.parse(readFileSync(join(fixtureModel(name), 'case.json'), 'utf8')) as {
    texts: readonly string[];
  };
  return [...texts, ...TEXTS];
}

const probabilitiesOf = ({ model }: LanguageModel, ids: readonly number[]): Float32Array[] =>
  tf.tidy(() => {
    const { logits } = model.forward({
      inputIds: Int32Array.from(ids),
      offsets: Int32Array.of(0, ids.length),
    });
    const values = tf.softmax(logits!).dataSync<'float32'>();
    const width = logits!.shape[1];
    return ids.map((_, row) => values.slice(row * width, (row + 1) * width));
  });

const PROMPT = 'Hello world, 123 the cat sat';

/** The largest difference of a probability, and how often the most probable token is another. */
async function compare(
  cpp: LlamaCpp,
  path: string,
  ours: LanguageModel,
  length = 16,
): Promise<{ readonly largest: number; readonly others: number }> {
  const model = await cpp.loadModel({ modelPath: path });
  try {
    const ids = ours.tokenizer.encode(PROMPT).ids.slice(0, length);
    const theirs = await llamaProbabilities(model, ids);
    let [largest, others] = [0, 0];
    probabilitiesOf(ours, ids).forEach((row, at) => {
      row.forEach((p, id) => (largest = Math.max(largest, Math.abs(p - theirs[at]![id]!))));
      const best = (values: ArrayLike<number>) =>
        Array.from(values).indexOf(Math.max(...Array.from(values)));
      if (best(row) !== best(theirs[at]!)) others += 1;
    });
    return { largest, others };
  } finally {
    await model.dispose();
  }
}

const logitsOf = ({ model }: LanguageModel, ids: readonly number[]): Float32Array =>
  tf.tidy(() =>
    model
      .forward({ inputIds: Int32Array.from(ids), offsets: Int32Array.of(0, ids.length) })
      .logits!.dataSync<'float32'>(),
  );

/** Exports and opens what was written as a base model. The caller disposes. */
async function exported(
  base: string,
  type: string,
  adapter?: string,
): Promise<{
  readonly path: string;
  readonly model: LanguageModel;
  /** Of its results on the probe, relative to the largest. */
  readonly deviation: number;
}> {
  const path = join(folder, `${type}-${Math.random().toString(36).slice(2)}.gguf`);
  const { deviation } = await exportModel(base, { to, type, output: path, adapter, engine });
  const model = await loadLanguageModel(path, { engine });
  return { path, model, deviation: deviation!.relative };
}

const isLong = process.env['PEFT_LONG_TESTS'] === '1';

const FIXTURES = [
  ['llama', 'oft_llama', 16],
  ['qwen2', undefined, 16],
  ['qwen3', 'lora_qwen3_trainable_tokens', 16],
  ['mistral', undefined, 8], // its window, which llama.cpp does not have
  ['gpt2', undefined, 16],
] as const;

describe('a GGUF file', () => {
  test.each(FIXTURES)(
    'of %s with %s is the model and its tokeniser',
    async (name, given, length) => {
      const adapter = given && fixtureAdapter(given);
      const ours = await loadLanguageModel(fixtureModel(name), { engine, adapter });
      const { model, deviation } = await exported(fixtureModel(name), 'F32', adapter);
      expect(deviation).toBeLessThan(1e-5);
      try {
        for (const text of textsOf(name))
          expect(model.tokenizer.encode(text).ids).toEqual(ours.tokenizer.encode(text).ids);
        const ids = ours.tokenizer.encode(PROMPT).ids.slice(0, length);
        expect(logitsOf(model, ids)).toBeAllclose(logitsOf(ours, ids), { atol: 1e-5 });
      } finally {
        ours.dispose();
        model.dispose();
      }
    },
  );

  test.each(isLong ? (['gemma2', 'gemma3', 'phi3', 'llama'] as const) : (['gemma2'] as const))(
    'of a random %s is the model, finer types closer to it',
    async (family) => {
      const base = await randomCheckpoint(family, join(folder, family));
      const ours = await loadLanguageModel(base, { engine });
      const ids = ours.tokenizer.encode(PROMPT).ids.slice(0, 8);
      const expected = logitsOf(ours, ids);
      ours.dispose();
      const [distances, deviations]: [number[], number[]] = [[], []];
      for (const type of family === 'llama' ? ['F32', 'Q8_0', 'Q4_K_M'] : ['F32']) {
        const { model, deviation } = await exported(base, type);
        deviations.push(deviation);
        const found = logitsOf(model, ids);
        model.dispose();
        distances.push(
          Math.hypot(...found.map((value, i) => value - expected[i]!)) / Math.hypot(...expected),
        );
      }
      expect(distances[0]).toBeLessThan(1e-6);
      expect(distances).toEqual(distances.toSorted((a, b) => a - b));
      expect(distances[1] ?? 0).toBeLessThan(0.1);
      expect(deviations[0]).toBeLessThan(1e-5);
      expect(deviations).toEqual(deviations.toSorted((a, b) => a - b));
    },
  );

  test('names three tokens that end a text, and tells of further ones', async () => {
    const base = join(folder, 'base');
    cpSync(fixtureModel('llama'), base, { recursive: true });
    const ends = [457, 12, 13, 14]; // without a template, so that all three are free
    writeFileSync(join(base, 'generation_config.json'), JSON.stringify({ eos_token_id: ends }));
    const output = join(folder, 'ends.gguf');
    const { warnings } = await exportModel(base, { to, output, engine, probe: false });
    const { tokenizer, ends: read, dispose } = await loadLanguageModel(output, { engine });
    dispose();
    expect(read.endIds).toEqual([457, 12, 13]);
    expect(warnings).toEqual([
      `a GGUF file names three tokens that end a text, and not ${tokenizer.idToToken(14)}.`,
    ]);
  });

  test('is refused before anything is written, where llama.cpp has no place for the model', async () => {
    const refused = async (name: string, what: string) => {
      const output = join(folder, 'no.gguf');
      await expect(exportModel(fixtureModel(name), { to, output, engine })).rejects.toMatchObject({
        code: 'PEFT_EXPORT_UNSUPPORTED',
        message: expect.stringContaining(what) as string,
      });
      expect(existsSync(output)).toBe(false);
    };
    await refused('bert', 'not for bert');
    await refused('t5', 'not for t5');
  });
});

describe.skipIf(!llama)('node-llama-cpp (skipped where npm has not brought it)', () => {
  test.each(FIXTURES)('has tokens and probabilities of %s with %s', async (name, given, length) => {
    const adapter = given && fixtureAdapter(given);
    const path = join(folder, `${name}.gguf`);
    await exportModel(fixtureModel(name), { to, type: 'F32', output: path, adapter, engine });
    const ours = await loadLanguageModel(fixtureModel(name), { engine, adapter });
    try {
      const model = await llama!.loadModel({ modelPath: path });
      for (const text of textsOf(name))
        expect(model.tokenize(text, true), JSON.stringify(text)).toEqual(ours.tokenizer.ids(text));
      await model.dispose();
      // its keys and values are float16, its GELU a table
      const { largest, others } = await compare(llama!, path, ours, length);
      expect(largest).toBeLessThan(3e-4);
      expect(others).toBe(0);
    } finally {
      ours.dispose();
    }
  });

  test.each([
    ['gemma2', 'F32', 5e-4],
    ['gemma3', 'F32', 5e-4],
    ['phi3', 'F32', 5e-4],
    ['llama', 'F32', 5e-4],
    ['llama', 'F16', 2e-3], // products of float16
    ['llama', 'Q8_0', 2e-2], // activations in 8 bits from here on
    ['llama', 'Q6_K', 2e-2],
    ['llama', 'Q4_K_M', 2e-2],
    ['llama', 'Q4_0', 2e-2],
  ] as const)('has probabilities of a random %s in %s', async (family, type, limit) => {
    const base = await randomCheckpoint(family, join(folder, family));
    const { path, model } = await exported(base, type); // dequantised
    try {
      const { largest, others } = await compare(llama!, path, model, 12);
      expect(largest).toBeLessThan(limit);
      if (type.startsWith('F')) expect(others).toBe(0);
    } finally {
      model.dispose();
    }
  });
});
