/** A chart for each number that steps tell beside their loss: rewards, margins, KL, lengths … */
import type { RunSeries } from '../../src/api-types.js';
import { defineChart, type Chart } from './chart.js';

export function stepMetricCharts(runs: readonly RunSeries[]): Required<Chart>[] {
  const names = new Set(runs.flatMap(({ steps }) => Object.keys(steps.metrics)));
  return [...names].map((name) =>
    defineChart({
      id: `step-${name}`,
      title: name.replaceAll('_', ' '),
      unit: 'of a step',
      isSmoothed: true,
      curve: ({ steps: { step, metrics } }) => {
        const values = metrics[name];
        return values ? { x: step, y: values } : { x: [], y: [] };
      },
    }),
  );
}
