/**
 * Optimisers' trajectories; tables of learning rates lie beside them and are checked with each
 * case.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  passes,
  readScheduleTables,
  runOptimCase,
  scheduleOf,
} from '../../../packages/optim/test/optim-case.js';
import type { GoldenResult } from '../golden-case.js';

/** float64 on both sides. */
const SCHEDULE_TOLERANCE = 1e-12;
const checkedTables = new Set<string>();

export async function check(folder: string): Promise<GoldenResult> {
  const comparisons = await runOptimCase(folder);
  const failures = comparisons.filter((comparison) => !passes(comparison));
  const tables = join(dirname(folder), 'schedules.json');
  const wrong = existsSync(tables) && !checkedTables.has(tables) ? wrongRates(tables) : [];
  checkedTables.add(tables);
  const problems = [
    ...failures.map(({ name, worst, atol }) => `${name} ${worst.toExponential(1)} of ${atol}`),
    ...wrong,
  ];
  if (problems.length > 0) return { status: 'failed', detail: problems.slice(0, 6).join('; ') };
  const worst = Math.max(
    ...comparisons
      .filter(({ equalCodes }) => equalCodes === undefined)
      .map((comparison) => comparison.worst),
  );
  return {
    status: 'passed',
    detail: `${comparisons.length} compared, worst ${worst.toExponential(1)}`,
  };
}

function wrongRates(path: string): string[] {
  return readScheduleTables(path).flatMap((table) => {
    const schedule = scheduleOf(table);
    const step = table.values.findIndex(
      (value, i) => !(Math.abs(schedule(i) - value) <= SCHEDULE_TOLERANCE),
    );
    return step < 0
      ? []
      : [`${table.name} at step ${step}: ${schedule(step)} instead of ${table.values[step]}`];
  });
}
