/** What a chart is: give `defineChart` to a file of its own, and name it in `all-charts.ts`. */
import type { RunSeries } from '../../src/api-types.js';
import { shortNumber } from '../state/format.js';

/** Points of one run, by step. */
export interface Curve {
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
}

export interface Chart {
  readonly id: string;
  readonly title: string;
  /** In words, under the title. */
  readonly unit: string;
  readonly curve: (series: RunSeries) => Curve;
  /** The raw curve goes behind a smoothed one. Default false. */
  readonly isSmoothed?: boolean;
  /** Points are few, and marked. Default false. */
  readonly hasMarks?: boolean;
  readonly format?: (value: number) => string;
}

export const defineChart = (chart: Chart): Required<Chart> => ({
  isSmoothed: false,
  hasMarks: false,
  format: shortNumber,
  ...chart,
});
