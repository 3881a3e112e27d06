import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { peft } from './fake-terminal.js';
import { fixture } from './tiny-llama.js';

const adapter = fileURLToPath(
  new URL('../../testing/fixtures/adapters/oft_llama', import.meta.url),
);
let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'peft-convert-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('peft convert makes another method into LoRA, and says how much of it was kept', async () => {
  const output = join(folder, 'lora');
  const words = ['convert', adapter, '--model', fixture('llama'), '--engine', 'portable'];
  const { code, out, err } = await peft(...words, '--to', 'lora', '--rank', '2', '-o', output);
  expect(code, err).toBe(0);
  expect(out).toMatch(/^kept \d+\.\d\d % of the energy of the change in \d+ matrices$/m);
  const checked = await peft('check', output, '--for', 'vllm');
  expect(checked.out).toMatch(/^vllm +loads it$/);
  const mlx = await peft(...words, '--to', 'mlx', '-o', join(folder, 'mlx'), '--json');
  expect(mlx.code).toBe(1);
  expect(mlx.err).toContain('the adapter is OFT');
  expect(existsSync(join(folder, 'mlx'))).toBe(false);
});

test('peft convert asks for a rank where one is needed, and knows its formats', async () => {
  const words = ['convert', adapter, '--model', fixture('llama'), '-o', join(folder, 'no')];
  expect((await peft(...words, '--to', 'lora')).err).toContain('rank');
  expect((await peft(...words, '--to', 'lora', '--rank', 'x')).err).toContain('--rank');
  expect((await peft(...words, '--to', 'gguf')).err).toContain('a format of whole models');
  const { out } = await peft('convert', '--help');
  expect(out).toContain('adapter-hub, lora');
});
