/** What a run said before with what it said since. */
import type { RunSeries, StepColumns } from '../../src/api-types.js';

/** @param since what the server answered when it was asked for more. */
export function mergedSeries(before: RunSeries, since: RunSeries): RunSeries {
  if (before.edition !== since.edition) return since;
  const names = Object.keys(since.steps) as (keyof StepColumns)[];
  const steps = Object.fromEntries(
    names.map((name) => [name, [...before.steps[name], ...since.steps[name]]]),
  );
  return { ...since, steps: steps as unknown as StepColumns }; // of the same names
}

export const pointsOf = ({ steps }: RunSeries): number => steps.step.length;
