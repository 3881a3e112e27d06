import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peft } from './fake-terminal.js';
import { mergeFitInputs } from '../src/options/merge-fit-inputs.js';
import { requestOf } from '../src/run-file/request-of.js';
import { readRunFile } from '../src/run-file/read-run-file.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-run-file-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const runFile = (text: string): string => {
  const path = join(folder, 'run.yaml');
  writeFileSync(path, text);
  return path;
};

describe('a run file', () => {
  test('has the keys of the flags, paths beside it, and one text where a list is meant', () => {
    const file = runFile(
      'train: data/train.tsv\ntest: dev.tsv\ncolumns: label\nmodel: ./model\nepochs: 2\nstandalone: false\n',
    );
    expect(readRunFile(file)).toEqual({
      train: join(folder, 'data/train.tsv'),
      test: [join(folder, 'dev.tsv')],
      columns: ['label'],
      model: join(folder, 'model'),
      epochs: 2,
      standalone: false,
    });
    expect(readRunFile(runFile('model: org/name'))).toEqual({ model: 'org/name' });
  });

  test('gives way to flags, in mappings key by key; named options win over its own settings', () => {
    const file = readRunFile(
      runFile(
        'methodOptions: { rank: 2, alpha: 4 }\n' +
          'epochs: 3\n' +
          'seed: 1\n' +
          'hyperparameters: { optim: { max_epochs: 9, lr: 1.0e-3 } }\n',
      ),
    );
    const merged = mergeFitInputs(file, {
      methodOptions: { rank: 8 },
      seed: 2,
      hyperparameters: { 'optim.lr': 5 },
    });
    expect(merged).toMatchObject({
      methodOptions: { rank: 8, alpha: 4 },
      seed: 2,
      hyperparameters: { 'optim.max_epochs': 3, 'optim.lr': 5, 'env.seed': 2 },
    });
  });

  test('is what a run was asked for, from any folder and each value once', () => {
    const file = runFile(
      'train: train.tsv\nmodel: ./model\nepochs: 2\nhyperparameters: { optim.lr: 1 }\n',
    );
    const merged = mergeFitInputs(readRunFile(file), {
      test: ['test.tsv'],
      model: folder,
      resume: true,
      epochs: 3,
    });
    expect(requestOf(merged)).toEqual({
      train: join(folder, 'train.tsv'),
      test: [resolve('test.tsv')],
      model: folder,
      epochs: 3,
      hyperparameters: { 'optim.lr': 1 },
    });
    expect(requestOf({ model: 'org/name' })).toEqual({ model: 'org/name' });
  });

  test.each([
    ['an unknown key', 'trian: x.tsv', 'PEFT_CONFIG_UNKNOWN_KEY', 'Did you mean "train"'],
    ['a text for a number', 'sample: many', 'PEFT_CONFIG_INVALID', 'sample must be a positive'],
    ['a list for a text', 'label: [a, b]', 'PEFT_CONFIG_INVALID', 'label must be a string'],
    ['a number in a list', 'columns: [a, 1]', 'PEFT_CONFIG_INVALID', 'columns[1] must be a string'],
    ['a text for a mapping', 'hyperparameters: fast', 'PEFT_CONFIG_INVALID', 'a mapping of names'],
    ['a mapping for a value', 'epochs: { a: 1 }', 'PEFT_CONFIG_INVALID', 'must be one value'],
    ['a list at the top', '- a', 'PEFT_RUN_FILE', 'must be a mapping'],
    ['no YAML', 'a: [', 'PEFT_RUN_FILE', 'run.yaml'],
    ['a key twice', 'label: a\nlabel: b', 'PEFT_RUN_FILE', 'unique'],
    ['an unknown tag', 'label: !!js/function "x"', 'PEFT_RUN_FILE', 'tag'],
    ['an alias of nothing', 'label: *a', 'PEFT_RUN_FILE', 'alias'],
    [
      'aliases that expand to billions',
      'a: &a [x, x, x, x, x, x, x, x, x]\n' +
        'b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n' +
        'c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n' +
        'map: [*c, *c, *c, *c, *c, *c, *c, *c]\n',
      'PEFT_RUN_FILE',
      'alias',
    ],
  ])('with %s is a named error', async (_, text, code, message) => {
    const { code: exit, err } = await peft('fit', '-c', runFile(text));
    expect(exit).toBe(1);
    expect(err).toContain(`error ${code}: `);
    expect(err).toContain(message);
  });

  test('with an unknown engine is a named error that lists the known ones, before anything is written', async () => {
    writeFileSync(join(folder, 'train.csv'), 'topic,text\na,b c\nd,e f\na,b d\nd,e g\n');
    const model = fileURLToPath(
      new URL('../../../node_modules/.cache/peft/quick-model', import.meta.url),
    );
    const text = `train: train.csv\nlabel: topic\nmodel: ${model}\noutput: never\nengine: natve\n`;
    const { code, err } = await peft('fit', '-c', runFile(text));
    expect(code).toBe(1);
    expect(err).toContain('error PEFT_ENGINE_UNKNOWN: engine: there is no engine "natve".');
    expect(err).toContain('Did you mean "native"');
    expect(err).toContain('Known: auto, native, portable, tensorflow, webgpu.');
    expect(existsSync(join(folder, 'never'))).toBe(false);
  });

  test('loads no module that the command line does not ask for', async () => {
    writeFileSync(
      join(folder, 'plugin.mjs'),
      'globalThis.peftPluginRan = true; export const nothing = 1;\n',
    );
    const file = runFile('train: train.tsv\nlabel: label\noutput: out\nplugins: [./plugin.mjs]\n');
    const refused = await peft('fit', '-c', file);
    expect(refused.err).toContain('error PEFT_PLUGIN_NOT_ALLOWED: ');
    expect(refused.err).toContain('--allow-plugins');
    expect(globalThis).not.toHaveProperty('peftPluginRan');
    expect((await peft('fit', '-c', file, '--allow-plugins')).err).toContain('PEFT_PLUGIN_EMPTY');
    expect(globalThis).toHaveProperty('peftPluginRan', true);
  });

  test('holds no code: a data address is no module, even where modules are allowed', async () => {
    const file = runFile(
      'train: train.tsv\n' +
        'label: label\n' +
        'output: out\n' +
        'plugins: ["data:text/javascript,globalThis.peftDataRan=true;export const a=1"]\n',
    );
    for (const flags of [[], ['--allow-plugins']])
      expect((await peft('fit', '-c', file, ...flags)).err).toContain('error PEFT_PLUGIN_NAME: ');
    expect(globalThis).not.toHaveProperty('peftDataRan');
  });
});
