import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describeModel, randomWeights } from '@peft/core';
import { writeCheckpoint } from '@peft/hub';
import { llama } from '@peft/models';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const CONFIG = {
  model_type: 'llama',
  vocab_size: 4096,
  hidden_size: 1024,
  intermediate_size: 8192,
  num_hidden_layers: 5,
  num_attention_heads: 8,
  torch_dtype: 'bfloat16',
};
const LARGEST = 1024 * 8192 * 2;
/** Bookkeeping of the process while it loads: JavaScript objects, scratch memory of the kernels. */
const SLACK = 10e6;

const folder = mkdtempSync(join(tmpdir(), 'peft-loading-'));
const canMeasure =
  process.platform === 'linux' &&
  (await import('@peft/native')
    .then(({ createNativeEngine }) => Boolean(createNativeEngine()))
    .catch(() => false));

/** Loads in a process of its own. */
async function load(
  format: string,
): Promise<{ readonly addedPeak: number; readonly added: number; readonly weights: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=@peft/source',
    '--import',
    'tsx',
    fileURLToPath(new URL('load-in-child.ts', import.meta.url)),
    folder,
    format,
  ]);
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}

describe.skipIf(!canMeasure)(
  'the memory of loading (measured by the system, native engine)',
  () => {
    beforeAll(async () => {
      const weights = randomWeights(
        describeModel(llama, llama.parseConfig(CONFIG), { kind: 'causal-lm' }),
        { dtype: 'BF16' },
      );
      await writeCheckpoint(
        folder,
        [...weights.names()].map((name) => weights.get(name)!),
      );
      writeFileSync(join(folder, 'config.json'), JSON.stringify(CONFIG));
    });
    afterAll(() => rmSync(folder, { recursive: true }));

    test.each(['nf4', 'int8'])(
      'quantising to %s takes the final size and at most one tensor',
      async (format) => {
        const { addedPeak, weights } = await load(format);
        expect(weights).toBeGreaterThan(50e6);
        expect(addedPeak).toBeLessThan(weights + LARGEST + SLACK);
      },
    );

    test('a checkpoint that stays as it is takes nothing until it is used: the engine maps the file', async () => {
      const { addedPeak, weights } = await load('none');
      expect(weights).toBeGreaterThan(250e6);
      expect(addedPeak).toBeLessThan(SLACK + 20e6); // vectors, and what reading ahead brings
    });
  },
);
