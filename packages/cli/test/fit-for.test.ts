import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { peft } from './fake-terminal.js';
import { QUICK, tinyLlama, type TinyLlama } from './tiny-llama.js';

let llama: TinyLlama;
beforeAll(() => (llama = tinyLlama()));
afterAll(() => llama.remove());

const fit = (output: string, ...more: string[]): ReturnType<typeof peft> => {
  const words = ['fit', llama.chats, '--task', 'causal-lm', '--model', llama.path];
  return peft(...words, '--tune', llama.chats, '--output', output, ...QUICK, ...more);
};

test('peft fit --for refuses before training what the target would not load', async () => {
  const output = join(llama.folder, 'no');
  const refused = await fit(output, '--method', 'ia3', '--for', 'vllm');
  expect(refused.code).toBe(1);
  expect(refused.err).toContain('vllm would not load this adapter: the adapter is IA3');
  expect(existsSync(join(output, 'adapter'))).toBe(false);
  expect((await fit(output, '--method', 'lora', '--for', 'vlm')).err).toContain(
    'Did you mean "vllm"?',
  );
});

test('peft fit --for trains what the target loads, and says what to mind', async () => {
  const output = join(llama.folder, 'out');
  const { code, err } = await fit(
    output,
    ...['--method', 'lora', '--option', 'rank=32', '--for', 'vllm'],
  );
  expect(code, err).toBe(0);
  expect(err).toContain('note: vllm: rank 32 is over its default of 16');
  expect((await peft('check', output, '--for', 'vllm')).out).toMatch(/^vllm +loads it/);
});
