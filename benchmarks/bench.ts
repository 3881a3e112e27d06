/**
 * Ours and the peers' figures in one run on one machine: `npm run bench [-- --steps 4 --only bert
 * --write]`.
 *
 * (a) products against oneDNN where `libdnnl-dev` is installed; (b) training steps against PyTorch
 * + transformers where a Python has them (`PEFT_PYTHON`, default `python3`); (c) an epoch over
 * texts of real lengths against the transformers Trainer. `--no-products`, `--no-epochs` leave
 * parts out. `--write` keeps the tables with date, machine and commit in benchmarks/results/.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

interface StepReport {
  readonly engine: string;
  readonly precision: string;
  readonly tokensPerSecond: number;
  readonly secondsPerStep: number;
  readonly peakRssBytes: number;
  readonly loss: number;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    steps: { type: 'string', default: '4' },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
    'no-products': { type: 'boolean', default: false },
    'no-epochs': { type: 'boolean', default: false },
  },
});
const python = process.env['PEFT_PYTHON'] ?? 'python3';
const configs = fileURLToPath(
  new URL('../packages/testing/fixtures/autogluon/configs/', import.meta.url),
);

/** Batch 8 × 128 tokens, AutoGluon's `ia3_bias`: the shapes of the table. */
const CASES = ['bert-base-uncased', 'mdeberta-v3-base', 'xlm-roberta-base', 'flan-t5-base'].filter(
  (name) => existsSync(`${configs}${name}`) && name.includes(options.only),
);
const OURS = ['bfloat16', 'float32'] as const;
const THEIRS = ['float32', 'bfloat16'] as const;

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
  spawnSync(python, ['-c', 'import torch, transformers'], { encoding: 'utf8' }).status === 0;
say('## Training steps, ia3_bias, 8 × 128 tokens', '');
if (!hasPeer)
  say(
    `PyTorch and transformers are not installed for ${python}: ours alone. Name another Python in PEFT_PYTHON.`,
    '',
  );
say(
  '| model | side | precision | tokens/s | s/step | peak memory | tokens/s ÷ PyTorch float32 | ÷ PyTorch bfloat16 |',
  '|---|---|---|---|---|---|---|---|',
);
for (const name of CASES) {
  const shape = [
    '--arch',
    `${configs}${name}`,
    '--method',
    'ia3_bias',
    '--batch',
    '8',
    '--length',
    '128',
    '--steps',
    options.steps,
    '--json',
  ];
  const peers = hasPeer
    ? THEIRS.map((precision) => ({
        precision,
        report: report(python, [
          'benchmarks/peers/torch_step.py',
          ...shape,
          '--precision',
          precision,
        ]),
      }))
    : [];
  const speedOf = (precision: string): number | undefined =>
    peers.find((peer) => peer.precision === precision)?.report?.tokensPerSecond;
  for (const { precision, report: peer } of peers)
    say(row(name, 'PyTorch', precision, peer, speedOf));
  for (const precision of OURS)
    say(
      row(
        name,
        'ours (native)',
        precision,
        report(process.execPath, [
          'tools/run-source.mjs',
          'benchmarks/step.ts',
          ...shape,
          '--engine',
          'native',
          '--precision',
          precision,
        ]),
        speedOf,
      ),
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
  for (const name of CASES.filter((each) => /bert/.test(each)))
    epochRows(name).forEach((line) => say(line));
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

/** The JSON line that a step benchmark ends with; undefined when it failed. */
function report(command: string, words: readonly string[]): StepReport | undefined {
  const last = run(command, words).trim().split('\n').at(-1) ?? '';
  return last.startsWith('{') ? (JSON.parse(last) as StepReport) : undefined;
}

function row(
  name: string,
  side: string,
  precision: string,
  measured: StepReport | undefined,
  speedOf: (precision: string) => number | undefined,
): string {
  if (!measured) return `| ${name} | ${side} | ${precision} | failed | | | | |`;
  const ratio = (peer: string): string =>
    speedOf(peer) ? (measured.tokensPerSecond / speedOf(peer)!).toFixed(2) : '';
  return (
    `| ${name} | ${side} | ${precision} | ${measured.tokensPerSecond.toFixed(0)} | ` +
    `${measured.secondsPerStep.toFixed(3)} | ${(measured.peakRssBytes / 1e9).toFixed(2)} GB ` +
    `| ${ratio('float32')} | ${ratio('bfloat16')} |`
  );
}
