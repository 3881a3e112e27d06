/** Fits that go on: from an adapter, on top of one, and with more epochs of a finished run. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { peft } from './fake-terminal.js';

const quickstart = fileURLToPath(new URL('../../../examples/quickstart/', import.meta.url));
const train = join(quickstart, 'data/en_train.tsv');
let folder = '';
let first = '';
const common = [
  ...['--columns', 'label,text', '--label', 'label', '--model', join(quickstart, 'model')],
  ...['--sample', '64', '--batch-size', '32', '--learning-rate', '0.01'],
  ...['--tune', join(quickstart, 'data/en_dev.tsv')],
];
const fit = (...words: readonly string[]) => peft('fit', train, ...common, ...words);
const probabilities = async (model: string): Promise<unknown> =>
  JSON.parse((await peft('predict', model, '-t', 'The team won.', '-p', '--json')).out);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'peft-go-on-'));
  first = join(folder, 'first');
  const { code, err } = await fit('--method', 'lora', '--epochs', '1', '--output', first);
  expect(code, err).toBe(0);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a fresh adapter on top of another is saved with it, and needs it', async () => {
  const output = join(folder, 'stacked');
  const made = await fit(
    ...['--base-adapter', first, '--method', 'ia3', '--epochs', '1', '--output', output],
  );
  expect(made.code, made.err).toBe(0);
  expect(existsSync(join(output, 'base-adapter/adapter_model.safetensors'))).toBe(true);
  const config = JSON.parse(readFileSync(join(output, 'adapter/adapter_config.json'), 'utf8'));
  expect(config.peft_type).toBe('IA3');
  const beneath = JSON.parse(
    readFileSync(join(output, 'base-adapter/adapter_config.json'), 'utf8'),
  );
  expect(beneath.peft_type).toBe('LORA');
  expect(await probabilities(output)).toEqual(await probabilities(output));
  const again = await fit('--adapter', output, '--epochs', '1', '--output', join(folder, 'no'));
  expect(again.err).toContain('PEFT_CONFIG_UNSUPPORTED');
}, 120_000);

test('a fit goes on from the adapter of a saved model', async () => {
  const output = join(folder, 'further');
  const made = await fit('--adapter', first, '--epochs', '1', '--output', output);
  expect(made.code, made.err).toBe(0);
  expect(await probabilities(output)).not.toEqual(await probabilities(first));
}, 120_000);

test('a finished run is trained for more epochs, and for none unless they are named', async () => {
  const again = ['--resume', '--output', first];
  const refused = await fit(...again);
  expect(refused.err).toContain('--resume --epochs NUMBER');
  const other = await fit(...again, '--epochs', '1', '--method', 'ia3');
  expect(other.err).toContain('PEFT_FIT_CHANGED');
  for (const [flags, words] of [
    [['--problem-type', 'regression'], 'problem type "multiclass", not "regression"'],
    [['--map', 'text=title'], 'column of text "none", not "title"'],
  ] as const) {
    const { err } = await fit(...again, '--epochs', '1', ...flags);
    expect(err).toContain('PEFT_FIT_CHANGED');
    expect(err).toContain(words);
  }
  const before = await probabilities(first);
  const made = await fit(...again, '--epochs', '2', '--method', 'lora', '--json');
  expect(made.code, made.err).toBe(0);
  expect(JSON.parse(made.out).steps).toBe(4); // 64 rows, 32 a step
  expect(await probabilities(first)).not.toEqual(before);
}, 120_000);
