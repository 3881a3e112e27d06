/** The charts of the page Runs, in their order. */
import type { RunSeries } from '../../src/api-types.js';
import type { Chart } from './chart.js';
import gradientNorm from './gradient-norm.js';
import learningRate from './learning-rate.js';
import loss from './loss.js';
import speed from './speed.js';
import { stepMetricCharts } from './step-metrics.js';
import { validationCharts } from './validation.js';

export const chartsOf = (runs: readonly RunSeries[]): readonly Required<Chart>[] => [
  loss,
  ...validationCharts(runs),
  ...stepMetricCharts(runs),
  learningRate,
  gradientNorm,
  speed,
];
