/** A chart for each metric of the validation checks. */
import type { RunSeries } from '../../src/api-types.js';
import { defineChart, type Chart } from './chart.js';

export function validationCharts(runs: readonly RunSeries[]): Required<Chart>[] {
  const names = new Set(
    runs.flatMap(({ checks }) => checks.flatMap(({ metrics }) => Object.keys(metrics))),
  );
  return [...names].map((name) =>
    defineChart({
      id: `validation-${name}`,
      title: `Validation ${name.replaceAll('_', ' ')}`,
      unit: 'on the held-out rows',
      hasMarks: true,
      curve: ({ checks }) => ({
        x: checks.map(({ step }) => step),
        y: checks.map(({ metrics }) => metrics[name] ?? null),
      }),
    }),
  );
}
