/** What a finished run leaves in: the real command, in a process of its own. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PeftPredictor } from '@peft/predictor';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ErrorBody, FormatExport, RunExports } from '../src/api-types.js';
import { exportFiles, exportState } from '../src/exports/export-state.js';
import { openStudio, QUICK_MODEL, type OpenStudio } from './studio-fixture.js';

let studio: OpenStudio;
beforeAll(async () => {
  studio = await openStudio();
  const predictor = new PeftPredictor({
    label: 'topic',
    path: join(studio.folder, 'topics'),
    hyperparameters: {
      'model.hf_text.checkpoint_name': QUICK_MODEL,
      'model.hf_text.max_text_len': 16,
      'optim.peft': 'lora',
      'optim.max_steps': 2,
      'env.batch_size': 8,
      'env.engine': 'portable',
    },
  });
  await predictor.fit(
    Array.from({ length: 24 }, (_, at) => ({
      topic: ['sports', 'health'][at % 2]!,
      text: ['the team won', 'the doctor saw'][at % 2]!,
    })),
  );
  predictor.dispose();
});
afterAll(() => studio.close());

const exportsOf = (): Promise<RunExports> => studio.get('/api/exports?run=topics');

/** Asks for an export, and waits until its process has ended. */
async function exported(format: string, type?: string): Promise<FormatExport> {
  const answer = await studio.post('/api/export', { run: 'topics', format, type });
  expect(answer.status).toBe(200);
  for (;;) {
    const { exports } = await exportsOf();
    const found = exports.find((each) => each.format === format);
    if (found && found.state !== 'running') return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

it('exports a run, again under a number, and tells what a format refuses', async () => {
  expect((await exportsOf()).exports).toEqual([]);
  const output = join(studio.folder, 'exports/topics/safetensors');
  expect(await exported('safetensors', 'f16')).toMatchObject({
    state: 'finished',
    output,
    type: 'f16',
  });
  expect(existsSync(join(output, 'model.safetensors'))).toBe(true);
  expect(await exported('safetensors')).toMatchObject({ output: `${output}-2` });
  const refused = await exported('gguf');
  expect(refused).toMatchObject({ state: 'failed' });
  expect((refused as { message: string }).message).toMatch(/^error PEFT_EXPORT_UNSUPPORTED/);
  expect(existsSync(join(studio.folder, 'exports/topics/gguf.gguf'))).toBe(false);
});

it('says that it runs where its studio ended before it had written the process down', async () => {
  const files = exportFiles(studio.folder, 'topics', 'safetensors');
  const answer = await studio.post('/api/export', { run: 'topics', format: 'safetensors' });
  expect(answer.status).toBe(200);
  rmSync(files.pid);
  const state = (): string | undefined => exportState(files)?.state;
  await expect.poll(state, { timeout: 60_000, interval: 10 }).toBe('running');
  await expect.poll(state, { timeout: 60_000 }).toBe('finished');
});

it.each([
  [{ run: 'topics', format: 'guff' }, 'PEFT_STUDIO_EXPORT'],
  [{ run: 'topics', format: 'safetensors', type: 'q4' }, 'PEFT_STUDIO_EXPORT'],
  [{ run: '../topics', format: 'safetensors' }, 'PEFT_STUDIO_RUN'],
  [{ format: 'safetensors' }, 'PEFT_STUDIO_REQUEST'],
])('refuses %j by name', async (body, code) => {
  const answer = await studio.post('/api/export', body);
  expect(answer.status).toBe(400);
  expect(((await answer.json()) as ErrorBody).error.code).toBe(code);
});

it('shows how far one is, and that a process went without a word', () => {
  const files = exportFiles(studio.folder, 'topics', 'mlx');
  writeFileSync(files.output, '');
  writeFileSync(files.log, 'written 0 B of 8 MB (0 %)\nwritten 4 MB of 8 MB (50 %)\n');
  writeFileSync(files.pid, String(process.pid));
  expect(exportState(files)).toEqual({ state: 'running', share: 0.5 });
  rmSync(files.pid);
  expect(exportState(files)).toMatchObject({ state: 'failed' });
  rmSync(files.output);
  expect(exportState(files)).toBeUndefined();
});
