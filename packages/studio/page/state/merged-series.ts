/** What a run said before with what it said since. */
import type { RunSeries, StepColumns } from '../../src/api-types.js';

/** @param since what the server answered when it was asked for more. */
export function mergedSeries(before: RunSeries, since: RunSeries): RunSeries {
  if (before.edition !== since.edition) return since;
  const { metrics: _, ...numbers } = since.steps;
  const names = Object.keys(numbers) as (keyof typeof numbers)[];
  const joined = Object.fromEntries(
    names.map((name) => [name, [...before.steps[name], ...since.steps[name]]]),
  );
  const steps = { ...joined, metrics: mergedMetrics(before.steps, since.steps) };
  return { ...since, steps: steps as unknown as StepColumns }; // of the same names
}

/** A metric that only some steps tell has nulls at the others. */
function mergedMetrics(before: StepColumns, since: StepColumns): StepColumns['metrics'] {
  const names = new Set([...Object.keys(before.metrics), ...Object.keys(since.metrics)]);
  const valuesOf = ({ metrics, step }: StepColumns, name: string): readonly (number | null)[] =>
    metrics[name] ?? step.map(() => null);
  return Object.fromEntries(
    [...names].map((name) => [name, [...valuesOf(before, name), ...valuesOf(since, name)]]),
  );
}

export const pointsOf = ({ steps }: RunSeries): number => steps.step.length;
