import { expect, test } from 'vitest';
import { programOf } from '../src/command-line.js';
import { addFitOptions, fitInputOfFlags } from '../src/options/fit-options.js';
import { wordsOf } from '../src/run-file/command-line.js';
import { requests } from '../src/studio/run-requests.js';
import { fakeTerminal } from './fake-terminal.js';
import { Command } from 'commander';

const REQUEST = {
  train: '/data/my table.tsv',
  label: 'topic',
  columns: ['topic', 'text'],
  header: false,
  test: ['/data/a.tsv', '/data/b.tsv'],
  model: 'org/name',
  method: 'lora',
  methodOptions: { rank: 16, targets: ['query'], quantization: 'true' },
  hyperparameters: { 'optim.lr_decay': 0.9, 'data.label_separator': '|' },
  epochs: 3,
  precision: '32',
  timeLimitSeconds: 60,
  standalone: false,
};

test('a request is the same as a command line', () => {
  const [, train, ...words] = wordsOf(REQUEST);
  const command = addFitOptions(new Command('fit').exitOverride());
  command.parse(words, { from: 'user' });
  expect(fitInputOfFlags(train, command)).toEqual({ ...REQUEST, precision: '32' });
  expect(requests.commandLine({ train: "it's.tsv" })).toMatch(/peft fit '.*it'\\''s.tsv'$/);
  // the command knows what is copied from the page
  const fit = programOf([], fakeTerminal()).commands.find((each) => each.name() === 'fit')!;
  for (const word of words.filter((each) => each.startsWith('--')))
    expect(fit.options.map(({ long }) => long)).toContain(word);
});

test('a request is the same as a call, and unknown keys are refused', () => {
  const { train, predictor, fit } = requests.call({ ...REQUEST, methodOptions: { rank: 16 } });
  expect({ train, label: predictor.label }).toEqual({ train: REQUEST.train, label: 'topic' });
  expect(fit).toMatchObject({
    columns: REQUEST.columns,
    header: false,
    method: { name: 'lora' },
    hyperparameters: { 'optim.max_epochs': 3, 'optim.lr_decay': 0.9 },
  });
  expect(() => requests.call({ ...REQUEST, labl: 'x' })).toThrow('Did you mean "label"');
  expect(() => requests.call({ train: 'x' })).toThrow('--label is needed');
});
