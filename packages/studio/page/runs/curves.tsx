/** The charts of one or several runs. */
import { useState } from 'preact/hooks';
import { chartsOf } from '../charts/all-charts.js';
import { Plot } from '../charts/plot.js';
import { nameOf } from '../state/run-state.js';
import type { ChosenRun } from '../state/use-runs.js';

const DEFAULT_SMOOTHING = 0.8;

interface CurvesProps {
  readonly runs: readonly ChosenRun[];
  /** All that are chosen: a run keeps its colour while others are read. */
  readonly ids: readonly string[];
}

export function Curves({ runs, ids }: CurvesProps) {
  const [smoothing, setSmoothing] = useState(DEFAULT_SMOOTHING);
  const charts = chartsOf(runs.map(({ series }) => series));
  return (
    <>
      <label class="slider">
        <span>Smoothing</span>
        <input
          type="range"
          min="0"
          max="0.99"
          step="0.01"
          value={smoothing}
          onInput={({ currentTarget }) => setSmoothing(Number(currentTarget.value))}
        />
        <output>{smoothing.toFixed(2)}</output>
      </label>
      <div class="charts">
        {charts.map((chart) => (
          <Plot
            key={chart.id}
            chart={chart}
            smoothing={smoothing}
            runs={runs.map(({ id, series }) => ({
              name: nameOf(id),
              colour: ids.indexOf(id),
              curve: chart.curve(series),
            }))}
          />
        ))}
      </div>
    </>
  );
}
