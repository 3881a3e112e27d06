/** From what was trained to a folder or file in the format of others. */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import type { Module, TrainEvent } from '@peft/core';
import { check, didYouMean, PeftError, show } from '@peft/errors';
import { refuseFull, removeAbandoned, writeFolderAtomic } from '@peft/hub';
import { loadTrainedModel, type TrainedModel, type TrainedModelOptions } from '@peft/predictor';
import { formatNamed } from './export-formats.js';
import type {
  ApproximatedPart,
  ExportFormat,
  ExportJob,
  ExportReport,
  FormatRequest,
} from './format.js';
import { deviationOfWritten, probe } from './model/probe.js';
import { trainedBaseWarnings } from './model/trained-base.js';

/** How far an export is. */
export interface ExportProgress {
  /** The tensor that is written next. */
  readonly tensor: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** What is exported, into which format, and where to. */
export interface ExportOptions
  extends
    Pick<TrainedModelOptions, 'adapter' | 'baseModel' | 'engine' | 'threads' | 'signal'>,
    Pick<FormatRequest, 'type' | 'maxShardBytes' | 'rank'> {
  /** Name of a format: `safetensors`, `gguf` … */
  readonly to: string;
  /** Where the result goes: a folder that is missing or empty, or a file where the format has one. */
  readonly output: string;
  /** Compare the results of what was written with the adapter's. Default true. */
  readonly probe?: boolean;
  readonly onEvent?: (event: TrainEvent) => void;
  readonly onProgress?: (progress: ExportProgress) => void;
  readonly modules?: readonly Module[];
}

/** What an export wrote. */
export interface ExportResult extends ExportReport {
  readonly format: string;
  readonly type: string | undefined;
  /** Absolute. */
  readonly output: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly seconds: number;
  /** Commands that use the result. */
  readonly next: readonly string[];
}

const KEYS = [
  'to',
  'output',
  'type',
  'maxShardBytes',
  'rank',
  'adapter',
  'baseModel',
  'engine',
  'threads',
  'signal',
  'probe',
  'onEvent',
  'onProgress',
  'modules',
] as const;

/**
 * Exports a folder that `PeftPredictor` saved, or a checkpoint with an adapter. Everything that can
 * be refused is refused before anything is written, and what is written appears whole or not at
 * all.
 * @param reference a saved folder, or a folder or hub id of a checkpoint
 * @throws PEFT_EXPORT_FORMAT, PEFT_EXPORT_TYPE, PEFT_EXPORT_UNSUPPORTED, PEFT_MERGE_INEXACT,
 *   PEFT_FOLDER_NOT_EMPTY, and what opening models and adapters throws
 */
export async function exportModel(
  reference: string,
  options: ExportOptions,
): Promise<ExportResult> {
  check.knownKeys('exportModel', options, KEYS);
  check.string('exportModel', 'output', options.output);
  const started = performance.now();
  const format = formatNamed(options.to, options.modules ?? []);
  const type = checkedType(format, options.type);
  if (options.maxShardBytes !== undefined && format.hasShards !== true)
    throw new PeftError('PEFT_EXPORT_UNSUPPORTED', `export: ${format.name} has no shards.`, {
      hint: 'leave maxShardBytes out (CLI: --max-shard-size)',
    });
  checkRank(format, options.rank);
  const isFile =
    format.fileExtension !== undefined && options.output.endsWith(format.fileExtension);
  await removeAbandoned(dirname(resolve(options.output)), { name: basename(options.output) });
  await refuseFull(options.output);
  const { adapter, baseModel, engine, threads, signal, onEvent } = options;
  const source = await loadTrainedModel(reference, {
    adapter,
    baseModel,
    engine,
    threads,
    signal,
    onEvent,
    modules: options.modules,
  });
  try {
    const job = format.prepare(source, {
      type,
      name: basename(resolve(options.output)).replace(/\.[a-z]+$/i, ''),
      maxShardBytes: options.maxShardBytes,
      rank: options.rank,
    });
    const warnings = [...job.warnings, ...(format.isAdapter ? [] : trainedBaseWarnings(source))];
    let report: ExportReport = { deviation: undefined, approximation: undefined, warnings };
    const write = async (folder: string): Promise<void> => {
      report = { ...(await writeJob(folder, job, source, options)), warnings };
    };
    await (isFile ? writeOneFile(options.output, write) : writeFolderAtomic(options.output, write));
    return {
      format: format.name,
      type: job.type,
      output: resolve(options.output),
      files: await filesOf(options.output),
      seconds: (performance.now() - started) / 1e3,
      next: job.next?.(options.output) ?? [],
      ...report,
    };
  } finally {
    source.dispose();
  }
}

async function writeJob(
  folder: string,
  job: ExportJob,
  source: TrainedModel,
  { signal, onProgress, probe: isProbed = true }: ExportOptions,
): Promise<ExportReport> {
  const expected = isProbed && job.reopen ? probe(source.model) : undefined;
  let doneBytes = 0;
  const parts: ApproximatedPart[] = [];
  await job.write(folder, {
    approximated: (part) => parts.push(part),
    tensor(tensor, bytes) {
      signal?.throwIfAborted();
      onProgress?.({ tensor, doneBytes, totalBytes: job.totalBytes });
      doneBytes += bytes;
    },
  });
  signal?.throwIfAborted();
  const deviation = expected && (await deviationOfWritten(source, expected, job.reopen!(folder)));
  const report = { deviation, approximation: approximationOf(parts), warnings: job.warnings };
  await job.finish?.(folder, report);
  return report;
}

function approximationOf(parts: readonly ApproximatedPart[]): ExportReport['approximation'] {
  if (parts.length === 0) return undefined;
  const kept = parts.reduce((sum, { keptEnergy }) => sum + keptEnergy, 0);
  const all = parts.reduce((sum, { energy }) => sum + energy, 0);
  return { keptShare: Math.min(1, kept / all), parts };
}

/** Writes into a folder beside the place, and moves its one file there. */
async function writeOneFile(
  output: string,
  write: (folder: string) => Promise<void>,
): Promise<void> {
  const place = resolve(output);
  const parent = dirname(place);
  const mark = `${process.pid}-${randomBytes(4).toString('hex')}`;
  const folder = join(parent, `.${basename(place)}.${mark}.tmp`);
  await mkdir(folder, { recursive: true });
  try {
    await write(folder);
    const [file] = await readdir(folder);
    await rename(join(folder, file!), place);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function filesOf(output: string): Promise<ExportResult['files']> {
  const place = await stat(output);
  if (!place.isDirectory()) return [{ name: basename(output), bytes: place.size }];
  const entries = await readdir(output, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(output, join(entry.parentPath, entry.name)).replaceAll(sep, '/'));
  return Promise.all(
    paths.sort().map(async (name) => ({ name, bytes: (await stat(join(output, name))).size })),
  );
}

/** @throws PEFT_EXPORT_TYPE naming those that there are */
function checkedType({ name, types }: ExportFormat, type: string | undefined): string | undefined {
  if (type === undefined) return undefined;
  const found = types.find((known) => known.toLowerCase() === type.toLowerCase());
  if (found !== undefined) return found;
  throw new PeftError('PEFT_EXPORT_TYPE', `export: ${name} has no type ${show(type)}.`, {
    hint: types.length
      ? `${didYouMean(type, types)} It has: ${types.join(', ')}.`.trim()
      : 'it is written in one way: leave --type out',
  });
}

/** @throws PEFT_CONFIG_INVALID for a rank that is missing, bad or not the format's to choose */
function checkRank({ name, hasRank = false }: ExportFormat, rank: number | undefined): void {
  if (hasRank) return check.positiveInteger('export', 'rank', rank);
  if (rank !== undefined)
    throw new PeftError('PEFT_CONFIG_INVALID', `export: ${name} keeps the adapter's own rank.`, {
      hint: 'leave rank out (CLI: --rank); --to lora makes an adapter of another rank',
    });
}
