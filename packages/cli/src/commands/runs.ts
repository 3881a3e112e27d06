/** `peft runs`: the runs in a folder and below, with their scores. Reads files and changes none. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import { PeftError } from '@peft/errors';
import { readJsonObject, type JsonObject } from '@peft/hub';
import { duration, table } from '../terminal/format.js';
import type { Terminal } from '../terminal/terminal.js';
import { lastCheckpoint } from './resume-hint.js';

/** Folders below the given one that are looked into: runs lie side by side, or in folders of such. */
const DEPTH = 3;
const RECORD_FILE = 'predictor.json';

/** What is known of a run from its folder; what its files do not say is missing. */
interface RunLine {
  readonly folder: string;
  readonly state: 'saved' | 'unfinished' | 'unreadable';
  readonly task?: string;
  readonly method?: string;
  readonly model?: string;
  readonly metric?: string;
  /** On its validation rows. */
  readonly score?: number;
  /** Of an unfinished run, that of its last checkpoint. */
  readonly step?: number;
  readonly trainingSeconds?: number;
  /** When its newest file was written, ISO 8601. */
  readonly changedAt: string;
  readonly problem?: string;
}

export function addRuns(program: Command, terminal: Terminal): void {
  program
    .command('runs')
    .summary('list the runs of a folder with their scores')
    .description(
      'Lists the folders that peft fit wrote, in a folder and below: saved models with ' +
        'their scores, and runs that did not finish with the step that they can be resumed ' +
        'from.',
    )
    .argument('[folder]', 'where to look', '.')
    .option('--json', 'print one JSON object')
    .action((folder: string, { json = false }: { json?: boolean }) => {
      const runs = listRuns(folder);
      terminal.out(json ? JSON.stringify({ runs }) : shown(runs, folder));
    });
}

/** @throws PEFT_FILE_MISSING where there is no such folder */
function listRuns(folder: string): RunLine[] {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new PeftError('PEFT_FILE_MISSING', `runs: there is no folder ${folder}.`, {
      hint: 'give a folder with runs in it, or the folder of one',
    });
  return runsBelow(folder, DEPTH).sort((a, b) => b.changedAt.localeCompare(a.changedAt));
}

function runsBelow(folder: string, depth: number): RunLine[] {
  const run = runOf(folder);
  if (run) return [run];
  if (depth === 0) return [];
  return foldersIn(folder).flatMap((path) => runsBelow(path, depth - 1));
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !/^\.|^node_modules$/.test(entry.name))
      .map(({ name }) => join(folder, name));
  } catch {
    return []; // a folder that may not be read holds no run of ours
  }
}

function runOf(folder: string): RunLine | undefined {
  const record = join(folder, RECORD_FILE);
  if (existsSync(record)) {
    const changedAt = changeOf(record);
    try {
      return { folder, state: 'saved', ...savedRun(readJsonObject(record)!), changedAt };
    } catch (error) {
      const problem = (error as Error).message.split('\n')[0];
      return { folder, state: 'unreadable', problem, changedAt };
    }
  }
  const step = lastCheckpoint(folder);
  if (step === undefined) return undefined;
  return { folder, state: 'unfinished', step, changedAt: changeOf(join(folder, 'checkpoints')) };
}

const changeOf = (path: string): string => statSync(path).mtime.toISOString();

/** @throws PEFT_RUN_INVALID for a file that no fit wrote */
function savedRun(record: JsonObject): Partial<RunLine> {
  const { task, summary, base } = record as Partial<
    Record<'task' | 'summary' | 'base', JsonObject>
  >;
  const { metric, method, validationScore: score, steps: step, trainingSeconds } = summary ?? {};
  if (
    typeof metric !== 'string' ||
    typeof method !== 'string' ||
    typeof score !== 'number' ||
    typeof step !== 'number' ||
    typeof trainingSeconds !== 'number'
  )
    throw new PeftError('PEFT_RUN_INVALID', `runs: ${RECORD_FILE} has no summary of a fit.`);
  return {
    task: String(task?.['name']),
    method,
    model: String(base?.['reference']),
    metric,
    score,
    step,
    trainingSeconds,
  };
}

function shown(runs: readonly RunLine[], folder: string): string {
  if (runs.length === 0)
    return `no runs in ${folder}; peft fit … --output ${join(folder, 'NAME')} makes one`;
  const rows = runs.map((run) => [
    relative('', run.folder) || '.',
    run.problem === undefined ? run.state : `${run.state}: ${run.problem}`,
    run.task ?? '',
    run.method ?? '',
    run.score === undefined ? '' : `${run.metric} ${run.score.toFixed(4)}`,
    run.step === undefined ? '' : String(run.step),
    run.trainingSeconds === undefined ? '' : duration(run.trainingSeconds),
    run.changedAt.slice(0, 16).replace('T', ' '),
  ]);
  const head = ['folder', 'state', 'task', 'method', 'score', 'steps', 'time', 'changed (UTC)'];
  return table([head, ...rows]);
}
