import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peft } from './fake-terminal.js';

const quickstart = fileURLToPath(new URL('../../../examples/quickstart/', import.meta.url));
const data = (name: string) => join(quickstart, 'data', name);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-methods-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('peft methods', () => {
  test('lists each name once, with whose files it is written in', async () => {
    const { out } = await peft('methods', '--json');
    const methods = JSON.parse(out).methods as { name: string; files: string; parts: string[] }[];
    const names = methods.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of [
      'lora',
      'qlora',
      'ia3',
      'bitfit',
      'ln-tuning',
      'houlsby',
      'pfeiffer',
      'parallel',
      'scaled-parallel',
      'prompt-tuning',
      'p-tuning',
      'prefix-tuning',
      'mam',
      'unipelt',
      'adalora',
      'vera',
      'loha',
      'lokr',
      'oft',
      'reft',
      'trainable-tokens',
      'ia3_bias',
    ])
      expect(names).toContain(name);
    const files = Object.fromEntries(methods.map((method) => [method.name, method.files]));
    expect(files).toMatchObject({
      qlora: 'PEFT',
      ia3_bias: 'PEFT',
      ia3_lora: 'its own',
      mam: 'adapter-hub',
      reft: 'adapter-hub',
      bitfit: 'its own',
    });
  });

  test('names that are listed are methods that a model can be inspected with', async () => {
    const config = fileURLToPath(
      new URL(
        '../../testing/fixtures/autogluon/configs/bert-base-uncased/config.json',
        import.meta.url,
      ),
    );
    const { methods } = JSON.parse((await peft('methods', '--json')).out) as {
      methods: { name: string; facts?: { trainable: number } }[];
    };
    const names = methods
      // decoders alone have something to attach others to
      .filter(({ facts }) => facts !== undefined)
      .map(({ name }) => name)
      // these need an option
      .filter((name) => !['adalora', 'trainable-tokens', 'adapter-fusion', 'xlora'].includes(name));
    const { code, err, out } = await peft('inspect', config, '--json', '--method', ...names);
    expect(err).toBe('');
    expect(code).toBe(0);
    for (const { trainable } of JSON.parse(out).methods) expect(trainable).toBeGreaterThan(0);
  });
});

describe('peft fit', () => {
  const small = [
    '--columns',
    'label,text',
    '--label',
    'label',
    '--model',
    join(quickstart, 'model'),
    '--sample',
    '32',
    '--epochs',
    '1',
    '--batch-size',
    '16',
    '--tune',
    data('en_dev.tsv'),
  ];

  test('--method reft trains, and the saved model predicts', async () => {
    const output = join(folder, 'reft');
    const { code, err } = await peft(
      'fit',
      data('en_train.tsv'),
      ...small,
      '--method',
      'reft',
      '--option',
      'rank=2',
      'prefixPositions=2',
      '--output',
      output,
    );
    expect(err).toContain('reft on deberta-v2');
    expect(code).toBe(0);
    expect(existsSync(join(output, 'adapter', 'adapter.safetensors'))).toBe(true);
    expect((await peft('predict', output, '--text', 'The team won the match.')).code).toBe(0);
    expect(
      (
        await peft(
          'fit',
          data('en_train.tsv'),
          ...small,
          '--method',
          'reft',
          '--option',
          'rnak=2',
          '--output',
          join(folder, 'typo'),
        )
      ).err,
    ).toContain('Did you mean "rank"');
  });

  test('--method qlora trains LoRA on a base in 4 bits, or in another format', async () => {
    const output = join(folder, 'qlora');
    const { code } = await peft(
      'fit',
      data('en_train.tsv'),
      ...small,
      '--method',
      'qlora',
      '--option',
      'rank=2',
      '--output',
      output,
    );
    expect(code).toBe(0);
    const record = JSON.parse(readFileSync(join(output, 'predictor.json'), 'utf8'));
    expect(record).toMatchObject({
      method: 'lora',
      settings: { 'model.hf_text.quantization': 'nf4' },
    });
    expect((await peft('predict', output, '--text', 'The team won the match.')).code).toBe(0);
    const { err } = await peft(
      'fit',
      data('en_train.tsv'),
      ...small,
      '--method',
      'qlora',
      '--option',
      'quantization=nf5',
      '--output',
      join(folder, 'typo'),
    );
    expect(err).toContain('qlora: quantization must be one of nf4, fp4, int8, got "nf5"');
  });
});
