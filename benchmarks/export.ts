/**
 * Exports of a merged model: `node tools/run-source.mjs benchmarks/export.ts [--arch llama-3.2-1b]
 * [--types Q8_0,Q4_K_M] [--engine native] [--threads 2] [--bare] [--folder PLACE] [--json]`.
 *
 * Random bfloat16 weights of a config's shape with a LoRA adapter of rank 16 on all linear layers
 * (`--bare`: without), written to GGUF, each type by a process of its own. `seconds` counts from the
 * call to the file under its name, flushed; in them is the comparison of what was written with the
 * adapter's answers. `peakBytes` is the most memory that the process held, mapped pages of the
 * checkpoint included. `--folder` keeps the checkpoint for the next time.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exportModel, type ExportOptions } from '@peft/export';
import { configPath } from './peers/shapes.js';
import { servedCheckpoint } from './serve/served-checkpoint.js';

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: 'llama-3.2-1b' },
    types: { type: 'string', default: 'Q8_0,Q4_K_M' },
    engine: { type: 'string', default: 'native' },
    threads: { type: 'string', default: '2' },
    bare: { type: 'boolean', default: false },
    folder: { type: 'string' },
    json: { type: 'boolean', default: false },
    /** Of the process that measures one type. */
    'only-type': { type: 'string' },
  },
});

const onlyType = options['only-type'];
await (onlyType === undefined ? measureAll() : measureOne(onlyType));

async function measureAll(): Promise<void> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'bench-export-'));
  try {
    await servedCheckpoint(configPath(options.arch), folder, 1);
    const reports = options.types.split(',').map((type) => {
      const child = spawnSync(
        process.execPath,
        [
          ...process.execArgv,
          fileURLToPath(import.meta.url),
          ...process.argv.slice(2),
          ...['--folder', folder, '--only-type', type],
        ],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
      );
      if (child.status !== 0) throw new Error(`bench:export: ${type} was not written`);
      return JSON.parse(child.stdout) as Readonly<Record<string, unknown>>;
    });
    if (options.json) return console.log(JSON.stringify(reports));
    const row = (cells: readonly unknown[]): string => `| ${cells.join(' | ')} |`;
    const names = Object.keys(reports[0]!);
    console.log([row(names), row(names.map(() => '---'))].join('\n'));
    for (const report of reports) console.log(row(Object.values(report)));
  } finally {
    if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

async function measureOne(type: string): Promise<void> {
  const output = join(options.folder!, `${type}.gguf`);
  rmSync(output, { force: true });
  const { seconds, files, deviation } = await exportModel(join(options.folder!, 'model'), {
    adapter: options.bare ? undefined : join(options.folder!, 'lora-0'),
    to: 'gguf',
    type,
    output,
    engine: options.engine as ExportOptions['engine'],
    threads: Number(options.threads),
  });
  rmSync(output);
  console.log(
    JSON.stringify({
      type,
      seconds: Number(seconds.toFixed(1)),
      peakBytes: process.resourceUsage().maxRSS * 1024,
      fileBytes: files[0]!.bytes,
      deviation: Number(deviation!.relative.toPrecision(2)),
    }),
  );
}
