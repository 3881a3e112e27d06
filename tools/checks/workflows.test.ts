/** The commands of every workflow are ones that this repository has. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from '../packages.mjs';
import { commandsOf, faultOf } from './snippets/shell-commands.js';

interface Workflow {
  readonly on: unknown;
  readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>>;
}
interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

const FOLDER = join(ROOT, '.github/workflows');
const names = readdirSync(FOLDER);
const read = (name: string): Workflow =>
  parse(readFileSync(join(FOLDER, name), 'utf8')) as Workflow;
const stepsOf = (name: string): Step[] =>
  Object.values(read(name).jobs).flatMap(({ steps }) => [...steps]);
/** Programs of GitHub's machines beside those of every reader. */
const OF_RUNNERS = ['sudo', 'for', 'do', 'done', 'update-alternatives', '[', 'then', 'fi', 'if'];

describe.each(names)('%s', (name) => {
  test('names commands that exist', () => {
    const faults = stepsOf(name)
      .flatMap(({ run, with: inputs }) => [run, inputs?.['version'], inputs?.['publish']])
      .filter((line): line is string => typeof line === 'string')
      .flatMap((line) => commandsOf(line))
      .filter(([program]) => !OF_RUNNERS.includes(program!))
      .flatMap((words) => faultOf(words) ?? []);
    expect(faults).toEqual([]);
  });

  test('takes actions of a fixed major version', () => {
    for (const { uses } of stepsOf(name)) if (uses) expect(uses).toMatch(/^[\w-]+\/[\w-]+@v\d+$/);
  });
});

test('a push and a pull request run the fast gate on each supported Node', () => {
  const { on, jobs } = read('ci.yml');
  expect(on).toEqual(['push', 'pull_request']);
  const checks = jobs['checks'] as unknown as { strategy: { matrix: { node: number[] } } };
  expect(checks.strategy.matrix.node).toEqual([20, 22, 24]);
  expect(stepsOf('ci.yml').map(({ run }) => run)).toContain('.ci/run');
});

test('the fast gate can be executed, and runs scripts that exist', () => {
  const gate = join(ROOT, '.ci/run');
  expect(statSync(gate).mode & 0o111).not.toBe(0);
  const faults = commandsOf(readFileSync(gate, 'utf8'))
    .filter(([program]) => program === 'npm')
    .flatMap((words) => faultOf(words) ?? []);
  expect(faults).toEqual([]);
});
