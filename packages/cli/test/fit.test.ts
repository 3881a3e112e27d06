import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommandLine } from '../src/index.js';
import { fakeTerminal, peft } from './fake-terminal.js';

const quickstart = fileURLToPath(new URL('../../../examples/quickstart/', import.meta.url));
const data = (name: string) => join(quickstart, 'data', name);
const model = join(quickstart, 'model');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const small = [
  '--columns',
  'label,text',
  '--label',
  'label',
  '--model',
  model,
  '--sample',
  '64',
  '--epochs',
  '1',
  '--batch-size',
  '16',
  '--tune',
  data('en_dev.tsv'),
];

describe('peft fit, evaluate and predict', () => {
  test('train, score and label from the command line', async () => {
    const output = join(folder, 'model');
    const fit = await peft(
      'fit',
      data('en_train.tsv'),
      ...small,
      '--method',
      'ia3_bias',
      '--output',
      output,
      '--log',
      join(folder, 'events.jsonl'),
    );
    expect(fit.err).toContain('ia3_bias on deberta-v2');
    expect(fit.code).toBe(0);
    expect(fit.out).toMatch(/accuracy 0\.\d{4} on 99 validation rows/);
    expect(
      readFileSync(join(folder, 'events.jsonl'), 'utf8')
        .split('\n')
        .filter((line) => line.includes('"step/completed"')),
    ).toHaveLength(4); // 64 rows, 16 a step

    const evaluate = await peft(
      'evaluate',
      output,
      data('de_test.tsv'),
      '--metrics',
      'accuracy',
      'log_loss',
      '--json',
    );
    expect(evaluate.err).toBe('');
    const { scores } = JSON.parse(evaluate.out).results[0];
    expect(scores.accuracy).toBeGreaterThanOrEqual(0);
    expect(scores.log_loss).toBeGreaterThan(0);

    const predict = await peft(
      'predict',
      output,
      '--text',
      'The team won the match.',
      'Der Minister trat zurück.',
      '--probabilities',
      '--json',
    );
    const rows = predict.out.split('\n').map((line) => JSON.parse(line));
    expect(rows).toHaveLength(2);
    for (const row of rows)
      expect(Object.values<number>(row.probabilities).reduce((a, b) => a + b)).toBeCloseTo(1, 6);
  });

  test('a run file gives the same options, and a flag wins over it', async () => {
    const file = join(folder, 'run.yaml');
    writeFileSync(
      file,
      `train: ${data('en_train.tsv')}\n` +
        `tune: ${data('en_dev.tsv')}\n` +
        'label: label\n' +
        'columns: [label, text]\n' +
        `model: ${model}\n` +
        'sample: 32\n' +
        'output: ./from-file\n' +
        'method: lora\n' +
        'methodOptions: { rank: 2, targets: [query_proj] }\n' +
        'hyperparameters:\n' +
        '  optim: { max_epochs: 3, lr: 1.0e-3 }\n' +
        '  env.batch_size: 16\n',
    );
    const { code, out } = await peft('fit', '--config', file, '--epochs', '1', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ steps: 2, method: 'lora' });
    expect(existsSync(join(folder, 'from-file', 'adapter', 'adapter_model.safetensors'))).toBe(
      true,
    );
    writeFileSync(file, 'trian: x.tsv\n');
    expect((await peft('fit', '-c', file)).err).toContain('Did you mean "train"');
  });

  test('a run stopped by Ctrl-C resumes with --resume and ends with the same bytes', async () => {
    const whole = join(folder, 'whole');
    expect(
      (await peft('fit', data('en_train.tsv'), ...small, '--method', 'ia3', '--output', whole))
        .code,
    ).toBe(0);
    const output = join(folder, 'stopped');
    const terminal = fakeTerminal();
    const stopping = {
      ...terminal,
      err: (text: string) => (text.startsWith('step 1/') ? terminal.abort() : undefined),
    };
    expect(
      await runCommandLine(
        ['fit', data('en_train.tsv'), ...small, '--method', 'ia3', '--output', output],
        stopping,
      ),
    ).toBe(130);
    expect(existsSync(join(output, 'adapter'))).toBe(false);
    const afresh = ['fit', data('en_train.tsv'), ...small, '--method', 'ia3', '--output', output];
    const again = await peft(...afresh);
    expect(again.code).toBe(1);
    expect(again.err).toMatch(
      /PEFT_FOLDER_NOT_EMPTY: fit: .* holds a run that did not finish \(its last checkpoint is of step 1\)/,
    );
    expect(again.err).toMatch(/resume it with: (npx )?peft /);
    expect(again.err).toContain(`peft ${afresh.join(' ')} --resume\n`);
    const resumed = await peft(
      'fit',
      data('en_train.tsv'),
      ...small,
      '--method',
      'ia3',
      '--output',
      output,
      '--resume',
    );
    expect(resumed.code).toBe(0);
    const adapter = (path: string) =>
      readFileSync(join(path, 'adapter', 'adapter_model.safetensors'));
    expect(adapter(output).equals(adapter(whole))).toBe(true);
  });

  test.each([
    [
      'a missing file',
      ['fit', './nowhere.tsv', '--label', 'label', '--output', 'x'],
      'nowhere.tsv',
    ],
    [
      'a missing column',
      [
        'fit',
        data('en_train.tsv'),
        '--columns',
        'label,text',
        '--label',
        'lable',
        '--output',
        'x',
        '--model',
        model,
      ],
      'Did you mean "label"',
    ],
    [
      'an unknown setting',
      [
        'fit',
        data('en_train.tsv'),
        '--columns',
        'label,text',
        '--label',
        'label',
        '--output',
        'x',
        '--model',
        model,
        '--set',
        'optim.lrr=1',
      ],
      'optim.lr',
    ],
    [
      'an unknown engine',
      [
        'fit',
        data('en_train.tsv'),
        '--columns',
        'label,text',
        '--label',
        'label',
        '--output',
        'x',
        '--model',
        model,
        '--engine',
        'cuda',
      ],
      'auto, native',
    ],
    ['no output folder', ['fit', data('en_train.tsv'), '--label', 'label'], '--output is needed'],
    ['no saved model', ['predict', './nowhere', '--text', 'x'], 'nowhere'],
  ])(
    '%s is a named error with a non-zero exit, and nothing is left behind',
    async (_, words, message) => {
      const { code, err } = await peft(...words);
      expect(code).toBe(1);
      expect(err).toMatch(/^error PEFT_[A-Z_]+: /);
      expect(err).toContain(message);
      expect(existsSync('x')).toBe(false);
    },
  );
});
