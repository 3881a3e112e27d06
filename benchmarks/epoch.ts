/**
 * Times an epoch over texts of real lengths: `node tools/run-source.mjs benchmarks/epoch.ts --arch
 * CONFIG_JSON [--peer] [--batch 32] [--precision bfloat16]`.
 *
 * The 701 English training sentences of SIB-200 (the quickstart's), tokenised by the quickstart's
 * tokenizer; a random-weight model with AutoGluon's `ia3_bias`, our trainer. Batches are packed: no
 * row is padded. `--peer` runs `peers/torch_epoch.py` on the same rows, the transformers Trainer,
 * which pads each batch to its longest row, and prints the ratio.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  architectureFor,
  createTrainEventBus,
  describeModel,
  loadModel,
  randomWeights,
} from '@peft/core';
import { fitLabelEncoder, loadTokenizer, readTable, tokenizeTable } from '@peft/data';
import { architectures } from '@peft/models';
import { createNativeEngine } from '@peft/native';
import { adamw, constantSchedule } from '@peft/optim';
import { autogluonMethod } from '@peft/methods';
import { classification, createBatchOrder, tableData, train } from '@peft/trainer';

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string' },
    batch: { type: 'string', default: '32' },
    precision: { type: 'string', default: 'bfloat16' },
    peer: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (options.help || !options.arch) {
  console.log(
    'epoch: --arch CONFIG_JSON_OR_FOLDER [--batch 32] [--precision bfloat16|float32] [--peer] [--json]',
  );
  process.exit(options.help ? 0 : 2);
}
const arch =
  existsSync(options.arch) && statSync(options.arch).isDirectory()
    ? join(options.arch, 'config.json')
    : options.arch;
const quickstart = (path: string): string =>
  fileURLToPath(new URL(`../examples/quickstart/${path}`, import.meta.url));
const table = await readTable(quickstart('data/en_train.tsv'), { columns: ['topic', 'text'] });
const labels = fitLabelEncoder(table.column('topic'));
const tokenized = await tokenizeTable(table, ['text'], loadTokenizer(quickstart('model')), {
  maxLength: 128,
});
const truth = labels.encode(table.column('topic'));
const data = tableData(tokenized, truth);
const { lengths } = tokenized;
const tokens = lengths.reduce((sum, length) => sum + length, 0);

const theirs = options.peer ? runPeer() : undefined;
const ours = await runOurs();
const report = {
  rows: lengths.length,
  tokens,
  longest: Math.max(...lengths),
  batch: Number(options.batch),
  ours,
  ...(theirs && { theirs, ratio: theirs.seconds / ours.seconds }),
};
if (options.json) console.log(JSON.stringify(report));
else {
  console.log(
    `${report.rows} texts, ${tokens} tokens, longest ${report.longest}, batches of ${report.batch}`,
  );
  console.log(
    `ours      ${ours.seconds.toFixed(1)} s an epoch, ${ours.tokensPerSecond.toFixed(0)} ` +
      `tokens/s, ${(ours.peakRssBytes / 1e9).toFixed(2)} GB, ${ours.engine}`,
  );
  if (theirs)
    console.log(
      `Trainer   ${theirs.seconds.toFixed(1)} s an epoch, ${theirs.tokensPerSecond.toFixed(0)} ` +
        `tokens/s, ${(theirs.peakRssBytes / 1e9).toFixed(2)} GB, ${theirs.engine}\nan epoch is ` +
        `${report.ratio!.toFixed(2)} times as fast`,
    );
}

interface EpochReport {
  readonly engine: string;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly peakRssBytes: number;
}

async function runOurs(): Promise<EpochReport> {
  const config = JSON.parse(readFileSync(arch, 'utf8')) as Record<string, unknown>;
  const engine = createNativeEngine({ precision: options.precision as 'bfloat16' });
  await engine.activate();
  const architecture = architectureFor(config['model_type'], architectures);
  const head = { kind: 'pooled-linear', outputs: labels.classes.length } as const;
  const model = loadModel(
    architecture,
    config,
    randomWeights(describeModel(architecture, architecture.parseConfig(config), head), {
      dtype: 'BF16',
    }),
    engine,
    { head },
  );
  model.addAdapter('default', autogluonMethod('ia3_bias'));
  const start = performance.now();
  await train({
    model,
    data: data,
    task: classification({ classes: labels.classes.length }),
    order: createBatchOrder({ lengths, batchSize: Number(options.batch), seed: 0 }),
    bus: createTrainEventBus(),
    optimizer: adamw(),
    schedule: constantSchedule({ learningRate: 3e-3 }),
    options: { epochs: 1, seed: 0 },
  });
  const seconds = (performance.now() - start) / 1e3;
  model.dispose();
  const { description } = engine;
  engine.dispose();
  return {
    engine: description,
    seconds,
    tokensPerSecond: tokens / seconds,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
}

function runPeer(): EpochReport {
  const folder = mkdtempSync(join(tmpdir(), 'epoch-'));
  try {
    const rows = Array.from(lengths, (_, i) => [...tokenized.batch([i]).inputIds]);
    writeFileSync(
      join(folder, 'data.json'),
      JSON.stringify({ rows, labels: [...truth], classes: labels.classes.length }),
    );
    const { status, stdout, stderr } = spawnSync(
      process.env['PEFT_PYTHON'] ?? 'python3',
      [
        fileURLToPath(new URL('peers/torch_epoch.py', import.meta.url)),
        '--arch',
        arch,
        '--data',
        join(folder, 'data.json'),
        '--batch',
        options.batch,
      ],
      { encoding: 'utf8', maxBuffer: 1 << 26 },
    );
    if (status !== 0)
      throw new Error(
        'the peer failed (name a Python with torch and transformers in PEFT_PYTHON): ' +
          `${stderr.trim().split('\n').at(-1)}`,
      );
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as EpochReport;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
