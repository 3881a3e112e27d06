/** Adapters that come and go leave nothing behind: counted here, in bytes in benchmarks/serve.ts. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { ContinuousBatch } from '@peft/generation';
import { loadLanguageModel, type LanguageModel } from '@peft/predictor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServedAdapters } from '../src/language/served-adapters.js';
import { LLAMA, writeAdapters } from './served-fixture.js';

const ROUNDS = 12;
const NAMES = ['warm', 'cold', 'front'];

let root: string;
let language: LanguageModel;
beforeAll(async () => {
  root = await writeAdapters();
  language = await loadLanguageModel(LLAMA, { engine: 'portable' });
});
afterAll(() => {
  language.dispose();
  rmSync(root, { recursive: true, force: true });
});

const openFiles = (): number =>
  process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;

test('loaded, unloaded while a text is made with them, and loaded again', async () => {
  const adapters = new ServedAdapters(language, 2);
  const batch = new ContinuousBatch(language.model);
  const held: (readonly number[])[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const name of NAMES) {
      await adapters.load(name, join(root, name));
      const use = adapters.use(name);
      const { ids } = await batch.submit({
        promptIds: [5, 9, 40],
        adapter: use.id,
        maxNewTokens: 3,
        onToken: ({ count }) => {
          if (count === 1) adapters.unload(name);
        },
      });
      expect(ids).toHaveLength(3); // the text ends with the adapter that it began with
      expect(language.model.adapterNames).toContain(use.id);
      use.release();
      expect(language.model.adapterNames).not.toContain(use.id);
    }
    const { numTensors, numDataBuffers, numBytes } = tf.memory();
    held.push([numTensors, numDataBuffers, numBytes, openFiles(), batch.cacheBytes]);
  }
  expect(new Set(held.slice(1).map(String)).size).toBe(1);
  expect(held.at(-1)!.at(-1)).toBe(0);
  expect(adapters.names).toEqual([]);
  batch.dispose();
});

test('are as many as may be, those that are being read among them', async () => {
  const adapters = new ServedAdapters(language, 2);
  const loads = ['a', 'b', 'c'].map((name) => adapters.load(name, join(root, 'warm')));
  const results = await Promise.allSettled(loads);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  expect(results[2]).toMatchObject({ reason: { code: 'PEFT_ADAPTER_LIMIT' } });
  adapters.unload('a');
  await adapters.load('c', join(root, 'warm'));
  for (const name of ['b', 'c']) adapters.unload(name);
});
