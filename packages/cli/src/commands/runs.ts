/** `peft runs`: the runs in a folder and below, with their scores. Reads files and changes none. */
import { statSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import { PeftError } from '@peft/errors';
import { listRuns, type ListedRun } from '@peft/trainer';
import { duration, table } from '../terminal/format.js';
import type { Terminal } from '../terminal/terminal.js';

/** Folders below the given one that are looked into: runs lie side by side, or in folders of such. */
const DEPTH = 3;

export function addRuns(program: Command, terminal: Terminal): void {
  program
    .command('runs')
    .summary('list the runs of a folder with their scores')
    .description(
      'Lists the folders that peft fit wrote, in a folder and below: completed runs with ' +
        'their scores, running ones, and interrupted or failed ones with the step that they ' +
        'came to.',
    )
    .argument('[folder]', 'where to look', '.')
    .option('--json', 'print one JSON object')
    .action(async (folder: string, { json = false }: { json?: boolean }) => {
      requireFolder(folder);
      const runs = await listRuns(folder, DEPTH);
      terminal.out(json ? JSON.stringify({ runs }) : shown(runs, folder));
    });
}

/** @throws PEFT_FILE_MISSING where there is no such folder */
function requireFolder(folder: string): void {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new PeftError('PEFT_FILE_MISSING', `runs: there is no folder ${folder}.`, {
      hint: 'give a folder with runs in it, or the folder of one',
    });
}

function shown(runs: readonly ListedRun[], folder: string): string {
  if (runs.length === 0)
    return `no runs in ${folder}; peft fit … --output ${join(folder, 'NAME')} makes one`;
  const rows = runs.map((run) => [
    relative('', run.path) || '.',
    run.problem === undefined ? run.state : `${run.state}: ${run.problem}`,
    run.task ?? '',
    run.method ?? '',
    run.score === undefined ? '' : `${run.metric} ${run.score.toFixed(4)}`,
    run.step === undefined ? '' : String(run.step),
    run.trainingSeconds === undefined ? '' : duration(run.trainingSeconds),
    new Date(run.changedAtMs).toISOString().slice(0, 16).replace('T', ' '),
  ]);
  const head = ['folder', 'state', 'task', 'method', 'score', 'steps', 'time', 'changed (UTC)'];
  return table([head, ...rows]);
}
