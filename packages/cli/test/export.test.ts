import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peft } from './fake-terminal.js';
import { fixture, QUICK, tinyLlama, type TinyLlama } from './tiny-llama.js';

const adapter = fileURLToPath(
  new URL('../../testing/fixtures/adapters/oft_llama', import.meta.url),
);
let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'peft-cli-export-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('peft export', () => {
  test('writes a checkpoint with its adapter, in numbers for programs and words for people', async () => {
    const output = join(folder, 'merged');
    const common = ['--model', fixture('llama'), '--adapter', adapter, '--engine', 'portable'];
    const told = await peft('export', ...common, '--to', 'safetensors', '-o', output, '--json');
    expect(told.code, told.err).toBe(0);
    expect(JSON.parse(told.out)).toMatchObject({ format: 'safetensors', type: 'f32' });
    expect(told.err).toMatch(/^written 0 B of /);
    const again = await peft('merge', ...common, '-o', join(folder, 'again'), '--type', 'bf16');
    expect(again.out).toMatch(
      / as bf16 in .*\nresults on a probe differ .*\nuse it with: peft generate /,
    );
    const full = await peft('merge', ...common, '-o', output);
    expect(full.code).toBe(1);
    expect(full.err).toContain('PEFT_FOLDER_NOT_EMPTY');
  });

  test('writes a folder for transformers.js, and tells what it has no class for', async () => {
    const output = join(folder, 'web');
    const common = ['--to', 'onnx', '--type', 'q8', '--engine', 'portable'];
    const told = await peft('export', fixture('bert'), ...common, '-o', output);
    expect(told.code, told.err).toBe(0);
    expect(told.err).not.toContain('warning');
    expect(told.out).toContain(' as q8 in ');
    expect(readdirSync(join(output, 'onnx'))).toEqual(['model_quantized.onnx']);
    const { err } = await peft('export', fixture('glm4'), ...common, '-o', join(folder, 'glm'));
    expect(err).toContain('warning: transformers.js 4 has no class for glm4');
    const refused = await peft('export', fixture('convbert'), ...common, '-o', join(folder, 'no'));
    expect(refused.err).toContain('onnx cannot record ConvBERT');
    expect(existsSync(join(folder, 'no'))).toBe(false);
  });

  test('says that it runs, before it knows whether it can', async () => {
    const processFile = join(folder, 'export.pid');
    const words = ['--to', 'gguf', '-o', join(folder, 'not-there'), '--process-file', processFile];
    expect((await peft('export', join(folder, 'missing'), ...words)).code).toBe(1);
    expect(readFileSync(processFile, 'utf8')).toBe(String(process.pid));
  });

  test('asks for what it needs, and knows its formats', async () => {
    const none = await peft('export', '--to', 'safetensors', '-o', join(folder, 'none'));
    expect(none.err).toContain('give either a folder that fit saved, or --model with --adapter');
    const wrong = await peft('export', fixture('llama'), '--to', 'safetensor', '-o', 'x');
    expect(wrong.err).toContain('Did you mean "safetensors"?');
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });
});

test('peft check says who loads an adapter', async () => {
  const { out, code } = await peft('check', adapter);
  expect(code).toBe(0);
  expect(out).toMatch(/^peft +loads it$/m);
  expect(out).toMatch(/^vllm +does not load it: the adapter is OFT \(merge it: peft merge\)$/m);
  const told = await peft('check', adapter, '--for', 'mlx', '--json');
  expect(JSON.parse(told.out)).toMatchObject({ target: 'mlx', loads: false });
});

test('a GGUF file is a base: what is trained on it is saved, and leaves', async () => {
  const base = join(folder, 'base.gguf');
  const engine = ['--engine', 'portable'];
  const made = await peft('export', fixture('qwen3'), '--to', 'gguf', '-o', base, ...engine);
  expect(made.code, made.err).toBe(0);
  const table = join(folder, 'texts.jsonl');
  writeFileSync(table, ['a b c', 'd e f'].map((text) => JSON.stringify({ text })).join('\n'));
  const out = join(folder, 'tuned');
  const words = ['fit', table, '--task', 'causal-lm', '--model', base, '--tune', table];
  const fitted = await peft(...words, '--method', 'lora', '--output', out, ...QUICK);
  expect(fitted.code, fitted.err).toBe(0);
  expect(fitted.out).toContain(`peft export ${out} --to gguf -o FILE.gguf`);
  expect(readdirSync(join(out, 'model'))).toContain('model.gguf');
  const merged = join(folder, 'tuned-merged');
  expect((await peft('merge', out, '-o', merged, ...engine)).code).toBe(0);
  expect(readFileSync(join(merged, 'README.md'), 'utf8')).toContain('which were quantised');
});

describe('what fit saved', () => {
  let llama: TinyLlama;
  beforeAll(() => (llama = tinyLlama()));
  afterAll(() => llama.remove());

  test('leaves with its own chat template, and writes as it did', async () => {
    const out = join(llama.folder, 'out');
    const words = ['fit', llama.chats, '--task', 'causal-lm', '--model', llama.path];
    const method = ['--tune', llama.chats, '--method', 'lora', '--output', out];
    const fitted = await peft(...words, ...method, ...QUICK);
    expect(fitted.code, fitted.err).toBe(0);
    const merged = join(llama.folder, 'merged');
    const { code, err } = await peft('merge', out, '-o', merged, '--engine', 'portable');
    expect(code, err).toBe(0);
    expect(readdirSync(merged)).toContain('chat_template.jinja');
    const asked = ['--prompt', 'Who is the cat?', '--chat', '--max-new-tokens', '8'];
    const texts = await Promise.all(
      [out, merged].map((path) => peft('generate', path, ...asked, '--engine', 'portable')),
    );
    expect(texts[1]!.out).toBe(texts[0]!.out);
  });
});
