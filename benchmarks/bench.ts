/**
 * Ours and the peers' figures in one run on one machine: `npm run bench [-- --arch llama-3.2-1b
 * --precision bf16 --only LoRA --steps 4 --rounds 3 --compile --write]`.
 *
 * (a) products against oneDNN where `libdnnl-dev` is installed; (b) training steps against PyTorch,
 * transformers and PEFT where a Python has them (`PEFT_PYTHON`, default `python3`), in turn; (c) an
 * epoch over texts of real lengths against the transformers Trainer. `--arch` and `--only` choose
 * rows by model and by title, `--peers bfloat16,autocast` the peers; `--no-products`,
 * `--no-epochs` leave parts out. `--write` keeps the tables with date, machine and commit in
 * benchmarks/results/.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { precisionOf, SHAPES } from './peers/shapes.js';
import { comparePairs, HEADER } from './peers/step-pairs.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    steps: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    arch: { type: 'string', default: '' },
    only: { type: 'string', default: '' },
    precision: { type: 'string' },
    compile: { type: 'boolean', default: false },
    peers: { type: 'string' },
    write: { type: 'boolean', default: false },
    'no-products': { type: 'boolean', default: false },
    'no-epochs': { type: 'boolean', default: false },
  },
});
const python = process.env['PEFT_PYTHON'] ?? 'python3';
const configs = fileURLToPath(
  new URL('../packages/testing/fixtures/autogluon/configs/', import.meta.url),
);

/** Models of the table of epochs. */
const CASES = ['bert-base-uncased', 'mdeberta-v3-base', 'xlm-roberta-base'].filter(
  (name) => name.includes(options.only) && name.includes(options.arch),
);

const lines: string[] = [
  `Machine: ${cpus().length} × ${cpus()[0]!.model}, ${(totalmem() / 2 ** 30).toFixed(0)} ` +
    `GiB; commit ${run('git', ['rev-parse', '--short', 'HEAD']).trim()}; ` +
    `${new Date().toISOString().slice(0, 10)}; Node ${process.version}`,
  '',
];
if (!options['no-products'] && existsSync(new URL('gemm/run.mjs', import.meta.url))) {
  const products = spawnSync(process.execPath, ['benchmarks/gemm/run.mjs'], {
    cwd: root,
    encoding: 'utf8',
  });
  say(
    '## Products',
    '',
    products.status === 0
      ? products.stdout.trim()
      : `skipped: ${(products.stderr || products.stdout).trim().split('\n')[0]}`,
    '',
  );
}
const hasPeer =
  spawnSync(python, ['-c', 'import torch, transformers, peft'], { encoding: 'utf8' }).status === 0;
say('## Training steps', '');
if (!hasPeer)
  say(
    `PyTorch, transformers and peft are not installed for ${python}: ours alone. Name another Python in PEFT_PYTHON.`,
    '',
  );
for (const shape of SHAPES) {
  const title = `${shape.arch}, ${shape.title}`;
  if (!shape.arch.includes(options.arch) || !title.includes(options.only)) continue;
  say(`### ${title}`, '', ...HEADER);
  say(
    ...comparePairs(shape, {
      python,
      hasPeer,
      precisions: options.precision ? [precisionOf(options.precision)] : ['bfloat16', 'float32'],
      steps: options.steps,
      rounds: Number(options.rounds),
      compile: options.compile,
      peers: options.peers?.split(','),
    }),
    '',
  );
}
if (hasPeer && !options['no-epochs']) {
  say(
    '',
    '## An epoch over the 701 English sentences of SIB-200, ia3_bias, batches of 32',
    '',
    '| model | side | s/epoch | tokens/s | peak memory | times as fast |',
    '|---|---|---|---|---|---|',
  );
  for (const name of CASES) epochRows(name).forEach((line) => say(line));
}
if (options.write) {
  const folder = new URL('results/', import.meta.url);
  const date = new Date().toISOString().slice(0, 10);
  const number = readdirSync(folder).filter((file) => file.startsWith(date)).length + 1;
  const path = new URL(`${date}-${number}.md`, folder);
  writeFileSync(path, `# Benchmarks of ${date}\n\n${lines.join('\n')}\n`);
  console.log(`\nwritten to ${fileURLToPath(path)}`);
}

function epochRows(name: string): string[] {
  const last =
    run(process.execPath, [
      'tools/run-source.mjs',
      'benchmarks/epoch.ts',
      '--arch',
      `${configs}${name}`,
      '--peer',
      '--json',
    ])
      .trim()
      .split('\n')
      .at(-1) ?? '';
  if (!last.startsWith('{')) return [`| ${name} | failed | | | | |`];
  const { ours, theirs, ratio } = JSON.parse(last) as { ratio: number } & Record<
    'ours' | 'theirs',
    { seconds: number; tokensPerSecond: number; peakRssBytes: number }
  >;
  const line = (
    side: string,
    { seconds, tokensPerSecond, peakRssBytes }: typeof ours,
    faster: string,
  ) =>
    `| ${name} | ${side} | ${seconds.toFixed(1)} | ${tokensPerSecond.toFixed(0)} | ` +
    `${(peakRssBytes / 1e9).toFixed(2)} GB | ${faster} |`;
  return [
    line('transformers Trainer, float32, padded', theirs, ''),
    line('ours (native), bfloat16, packed', ours, ratio.toFixed(2)),
  ];
}

function say(...text: string[]): void {
  lines.push(...text);
  console.log(text.join('\n'));
}

function run(command: string, words: readonly string[]): string {
  return spawnSync(command, words, { cwd: root, encoding: 'utf8' }).stdout ?? '';
}
