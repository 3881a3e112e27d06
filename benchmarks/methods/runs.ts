/** Trains what a row lacks yet, in a process of its own. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Compared } from './compared.js';
import { bestLearningRate, BUDGET, type MethodResult, type MethodRun } from './results.js';

/** What the child prints for each run. */
export type ChildLine =
  { readonly run: MethodRun; readonly trainableParameters: number } | { readonly refused: string };

const program = fileURLToPath(new URL('../../tools/run-source.mjs', import.meta.url));
const child = fileURLToPath(new URL('train-row.ts', import.meta.url));

/** @param keep is told of the row after each run */
export async function rowsOf(
  { name }: Compared,
  known: MethodResult | undefined,
  keep: (result: MethodResult) => void,
): Promise<void> {
  let result: MethodResult = known ?? { runs: [] };
  if (result.refused || lacking(result.runs).length === 0) return;
  const training = spawn(process.execPath, [program, child, name, JSON.stringify(result.runs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => training.once('close', resolve));
  for await (const line of createInterface({ input: training.stdout })) {
    if (!line.startsWith('{')) continue;
    const said = JSON.parse(line) as ChildLine;
    result =
      'refused' in said
        ? { ...result, refused: said.refused }
        : { runs: [...result.runs, said.run], trainableParameters: said.trainableParameters };
    keep(result);
  }
  const code = await ended;
  if (code !== 0) throw new Error(`${name}: its process ended with ${code}`);
}

/** The runs that are not there, in order; the last seeds only once the learning rate is known. */
export function lacking(
  runs: readonly MethodRun[],
): readonly Pick<MethodRun, 'learningRate' | 'seed'>[] {
  const isMissing = ({ learningRate, seed }: Pick<MethodRun, 'learningRate' | 'seed'>) =>
    !runs.some((run) => run.learningRate === learningRate && run.seed === seed);
  const [first, ...others] = BUDGET.seeds;
  const trials = BUDGET.learningRates.map((learningRate) => ({ learningRate, seed: first! }));
  const missing = trials.filter(isMissing);
  if (missing.length > 0) return missing;
  return others.map((seed) => ({ learningRate: bestLearningRate(runs)!, seed })).filter(isMissing);
}
