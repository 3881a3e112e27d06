/** The runs in and below a folder, with how they stand. */
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isLiving, readJsonObject } from '@peft/hub';
import { openCheckpointFolder } from '../checkpoints/folder-checkpoint-store.js';
import { parseRunRecord, type RunRecord } from './run-record.js';
import { RUN_FILE } from './run-folder.js';

/** How a run stands, for a list. */
export interface ListedRun {
  /** Absolute. */
  readonly path: string;
  /**
   * `interrupted`: it has not ended and no process is at it. `unreadable`: its `run.json` is
   * damaged or of a newer layout, `problem` says how.
   */
  readonly state: RunRecord['state'] | 'interrupted' | 'unreadable';
  readonly problem?: string;
  /** What was learnt, where a saved model tells it. */
  readonly task?: string;
  readonly method?: string;
  readonly engine?: string;
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
  /** When the file that tells of the run was written. */
  readonly changedAtMs: number;
  readonly trainingSeconds?: number;
  readonly step?: number;
  readonly plannedSteps?: number;
  /** The watched metric, where the folder tells it. */
  readonly metric?: string;
  readonly score?: number;
  /** A model is in the folder. */
  readonly isWhole: boolean;
}

/** Runs that were listed before, by their paths: one whose files are as they were is not read again. */
export type KnownRuns = Map<string, { readonly stamp: string; readonly run: ListedRun }>;

const RECORD_FILE = 'predictor.json';
const CHECKPOINT_FOLDER = 'checkpoints';
/** What tells of a run, the first of them when it was last written. */
const TELLING: readonly string[] = [RUN_FILE, RECORD_FILE, CHECKPOINT_FOLDER];

/**
 * Runs in `folder` and up to `depth` folders below it, the newest first; those without a time last.
 * Also reads folders from before there was a `run.json`: what their `predictor.json` or their
 * checkpoints tell.
 * @param depth default 2
 * @param known of earlier calls; the runs that are found are put in
 */
export async function listRuns(
  folder: string,
  depth = 2,
  known: KnownRuns = new Map(),
): Promise<readonly ListedRun[]> {
  const runs = await runsBelow(resolve(folder), depth, known);
  return runs.sort((a, b) => (b.startedAtMs ?? 0) - (a.startedAtMs ?? 0));
}

async function runsBelow(folder: string, depth: number, known: KnownRuns): Promise<ListedRun[]> {
  const own = await runIn(folder, known);
  if (own) return [own];
  if (depth === 0) return [];
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const below: ListedRun[] = [];
  for (const entry of entries)
    if (entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules')
      below.push(...(await runsBelow(join(folder, entry.name), depth - 1, known)));
  return below;
}

async function runIn(path: string, known: KnownRuns): Promise<ListedRun | undefined> {
  const files = new Map(
    TELLING.flatMap((name) => {
      const found = statSync(join(path, name), { throwIfNoEntry: false });
      return found ? [[name, found] as const] : [];
    }),
  );
  const [told] = files.values();
  if (!told) return undefined;
  const stamp = [...files]
    .map(([name, { ino, size, mtimeMs }]) => [name, ino, size, mtimeMs].join(' '))
    .join();
  const before = known.get(path);
  if (before?.stamp === stamp) return before.run;
  const run = await readRun(path, (name) => files.has(name), told.mtimeMs);
  // whether a process is still at it, no file tells
  if (run && run.state !== 'running') known.set(path, { stamp, run });
  else known.delete(path);
  return run;
}

async function readRun(
  path: string,
  has: (name: string) => boolean,
  changedAtMs: number,
): Promise<ListedRun | undefined> {
  const isWhole = has(RECORD_FILE);
  try {
    const summary = isWhole ? summaryIn(path) : {};
    if (!has(RUN_FILE)) {
      if (isWhole) return { path, state: 'completed', ...summary, changedAtMs, isWhole };
      const step = await lastStep(join(path, CHECKPOINT_FOLDER));
      return step === undefined
        ? undefined
        : { path, state: 'interrupted', step, changedAtMs, isWhole };
    }
    const file = join(path, RUN_FILE);
    const record = parseRunRecord(readJsonObject(file)!, file);
    const isOver = record.state !== 'running';
    return {
      path,
      state: isOver || isLiving(record.processId) ? record.state : 'interrupted',
      method: record.method,
      engine: record.engine,
      startedAtMs: record.startedAtMs,
      endedAtMs: record.endedAtMs,
      changedAtMs,
      step: record.step,
      plannedSteps: record.plannedSteps,
      ...(isOver ? summary : {}),
      isWhole,
    };
  } catch (error) {
    const [problem] = (error as Error).message.split('\n');
    return { path, state: 'unreadable', problem, changedAtMs, isWhole };
  }
}

/** What a predictor's own record tells of its run. */
function summaryIn(
  path: string,
): Pick<ListedRun, 'task' | 'method' | 'step' | 'metric' | 'score' | 'trainingSeconds'> {
  const record = readJsonObject(join(path, RECORD_FILE)) ?? {};
  const summary = (record['summary'] ?? {}) as Record<string, unknown>;
  const { name: task } = (record['task'] ?? {}) as { readonly name?: unknown };
  const text = (name: string): string | undefined =>
    typeof summary[name] === 'string' ? summary[name] : undefined;
  const number = (name: string): number | undefined =>
    typeof summary[name] === 'number' ? summary[name] : undefined;
  return {
    task: typeof task === 'string' ? task : undefined,
    trainingSeconds: number('trainingSeconds'),
    method: text('method'),
    step: number('steps'),
    metric: text('metric'),
    score: number('validationScore'),
  };
}

async function lastStep(folder: string): Promise<number | undefined> {
  const steps = (await readdir(folder).catch(() => []))
    .flatMap((name) => /^checkpoint-(\d{1,15})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
  if (steps.length === 0) return undefined;
  const checkpoint = await openCheckpointFolder(join(folder, `checkpoint-${steps[0]}`));
  checkpoint.close();
  return checkpoint.state.step;
}
