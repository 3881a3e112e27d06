/**
 * Methods with fixed parts that are computed from the base's values, trained on a base in four bits:
 * what leaves answers as the adapter does beside that base, not as it would beside other values.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { probeBatch } from '@peft/core';
import { methodNamed } from '@peft/methods';
import { loadLanguageModel, loadTrainedModel } from '@peft/predictor';
import { useTemporaryFolder } from '@peft/testing';
import { expect, test } from 'vitest';
import { exportModel, type ExportOptions } from '../src/index.js';
import { fixtureModel } from './fixtures.js';
import { savedFolder } from './saved-folder.js';

const engine = 'portable';
const BASE = fixtureModel('llama');
let folder = '';
useTemporaryFolder((made) => (folder = made));

const CASES = [
  ['adamss', { rank: 8, subspaces: 2 }],
  ['psoft', { rank: 8 }],
  ['osf', {}],
  ['frod', {}],
  ['supertuning', { saveIndices: false }],
  ['lora', { rank: 4, init: 'pissa' }],
  ['lora', { rank: 4, init: 'pissa_niter_4' }],
  ['lora', { rank: 4, init: 'olora' }],
  ['lora', { rank: 4, init: 'loftq' }],
  ['lora', { rank: 4, kasa: { beta: 1e-4, gamma: 1e-3 } }],
] as const;

/** A fit of a few steps on the base in four bits, unless told otherwise. */
const fitted = (
  [name, options]: readonly [string, object],
  place = 'saved',
  quantization = 'nf4',
): Promise<string> =>
  savedFolder(folder, place, 'causal-lm', 'llama', {
    method: methodNamed(name, { ...options }),
    settings: { 'model.hf_text.quantization': quantization },
  });

/** Of a folder as it is used: an adapter with the base that it was trained on. */
async function answersOf(path: string): Promise<Float32Array> {
  const { model, dispose } = await loadLanguageModel(path, { engine });
  try {
    const batch = probeBatch(model.description, model.configJson)!;
    return tf.tidy(() => model.forward(batch).logits!.dataSync<'float32'>().slice());
  } finally {
    dispose();
  }
}

/** That what leaves answers as what was saved, and says on which base. */
async function expectSame(
  saved: string,
  reference: string,
  options: Pick<ExportOptions, 'adapter'> = {},
): Promise<void> {
  const output = join(folder, 'out');
  const { deviation, warnings } = await exportModel(reference, {
    ...options,
    to: 'safetensors',
    type: 'f32',
    output,
    engine,
  });
  expect(deviation!.relative).toBeLessThan(1e-5);
  expect(warnings.join()).toContain('as it was in training, in nf4');
  expect(readFileSync(join(output, 'README.md'), 'utf8')).toContain('in training, in nf4');
  const [exported, trained] = [await answersOf(output), await answersOf(saved)];
  expect(Math.max(...exported.map((value, i) => Math.abs(value - trained[i]!)))).toBeLessThan(1e-4);
  rmSync(output, { recursive: true });
}

test.each(CASES)('%s %o', async (...method) => {
  const saved = await fitted(method);
  await expectSame(saved, saved);
});

test('its adapter beside the name of the base, and on a base that is held otherwise', async () => {
  const saved = await fitted(CASES[1]);
  await expectSame(saved, BASE, { adapter: saved });
  await expectSame(saved, BASE, { adapter: join(saved, 'adapter') });
  const served = await loadLanguageModel(BASE, { engine });
  try {
    await expect(served.addAdapter('other', saved)).rejects.toMatchObject({
      code: 'PEFT_ADAPTER_MISMATCH',
      message: expect.stringContaining("in nf4 in training and are the file's here") as string,
    });
  } finally {
    served.dispose();
  }
});

test('others leave beside the untouched base, and so do these where it was not touched', async () => {
  const heldBy = async (path: string): Promise<unknown> => {
    const { model, dispose } = await loadTrainedModel(path, { engine });
    dispose();
    return model.weights.quantization;
  };
  expect(await heldBy(await fitted(['lora', { rank: 4 }], 'plain'))).toBeUndefined();
  expect(await heldBy(await fitted(CASES[1], 'untouched', 'auto'))).toBeUndefined();
});
