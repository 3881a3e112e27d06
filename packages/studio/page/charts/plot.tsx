/** A chart of one or several runs, for eyes (uPlot) and for screen readers (a table). */
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { Chart, Curve } from './chart.js';
import { useColours, type Colours } from './use-colours.js';
import { smoothed } from './smoothed.js';

export interface PlottedRun {
  readonly name: string;
  /** Its place among the colours. */
  readonly colour: number;
  readonly curve: Curve;
}

interface PlotProps {
  readonly chart: Required<Chart>;
  readonly runs: readonly PlottedRun[];
  /** β of the moving mean. */
  readonly smoothing: number;
}

const HEIGHT = 200;
/** Rows of the table of values. */
const TOLD_VALUES = 12;

export function Plot({ chart, runs, smoothing }: PlotProps) {
  const shown = runs.filter(({ curve }) => curve.x.length > 0);
  const place = useRef<HTMLDivElement>(null);
  const [readout, setReadout] = useState<string>();
  const colours = useColours();
  const plot = useRef<uPlot | null>(null);
  const beta = chart.isSmoothed ? smoothing : 0;
  // runs and colours decide the lines; new points alone are put in
  const shape = JSON.stringify([shown.map(({ name, colour }) => [name, colour]), beta > 0]);

  useEffect(() => {
    const target = place.current;
    if (!target) return undefined;
    const made = new uPlot(
      optionsOf(chart, shown, beta, colours, target.clientWidth, (at) =>
        setReadout(at === undefined ? undefined : readoutOf(made, chart, shown, beta, at)),
      ),
      dataOf(shown, beta),
      target,
    );
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: target.clientWidth, height: HEIGHT }),
    );
    observer.observe(target);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, colours, chart.id]);
  useEffect(() => plot.current?.setData(dataOf(shown, beta)), [runs, beta]);

  const latest = readout ?? latestOf(chart, shown, beta);
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{chart.title}</span> <span class="quiet">{chart.unit}</span>
      </figcaption>
      {shown.length === 0 ? (
        <p class="chart-empty quiet">nothing yet</p>
      ) : (
        <>
          <p class="readout">{latest}</p>
          <div ref={place} role="img" aria-label={`${chart.title}: ${latest}`} class="plot" />
          <details class="values">
            <summary>
              Values<span class="unseen"> of {chart.title}</span>
            </summary>
            {shown.map((run) => (
              <ValueTable key={run.name} chart={chart} run={run} />
            ))}
          </details>
        </>
      )}
    </figure>
  );
}

function ValueTable({ chart, run }: { readonly chart: Required<Chart>; readonly run: PlottedRun }) {
  const { x, y } = run.curve;
  const stride = Math.max(1, Math.ceil(x.length / TOLD_VALUES));
  const rows = x.map((_, at) => at).filter((at) => at % stride === 0 || at === x.length - 1);
  return (
    <table>
      <caption>{run.name}</caption>
      <thead>
        <tr>
          <th scope="col">step</th>
          <th scope="col">{chart.title.toLowerCase()}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((at) => (
          <tr key={at}>
            <td>{x[at]}</td>
            <td>{format(chart, y[at])}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** All runs over the union of their steps: raw values, and where wanted the smoothed ones. */
function dataOf(runs: readonly PlottedRun[], beta: number): uPlot.AlignedData {
  const tables = runs.map(({ curve: { x, y } }): uPlot.AlignedData => [
    x as number[],
    y as number[],
    ...(beta > 0 ? [smoothed(y, beta) as number[]] : []),
  ]);
  if (tables.length === 0) return [[], []];
  return uPlot.join(tables);
}

function optionsOf(
  chart: Required<Chart>,
  runs: readonly PlottedRun[],
  beta: number,
  colours: Colours,
  width: number,
  onPoint: (index: number | undefined) => void,
): uPlot.Options {
  const lines = runs.flatMap(({ name, colour }): uPlot.Series[] => {
    const stroke = colours.runs[colour % colours.runs.length]!;
    const line = { label: name, stroke, width: 1.75, spanGaps: true };
    const points = { show: chart.hasMarks, size: 6, fill: stroke };
    if (beta <= 0) return [{ ...line, points }];
    return [
      { ...line, width: 1, alpha: 0.28, points: { show: false } },
      { ...line, points },
    ];
  });
  const axis = { stroke: colours.quiet, font: `12px ${colours.font}`, ticks: { show: false } };
  const grid = { stroke: colours.line, width: 1 };
  return {
    width,
    height: HEIGHT,
    series: [{}, ...lines],
    scales: { x: { time: false } },
    axes: [
      { ...axis, grid: { show: false }, size: 28 },
      {
        ...axis,
        grid,
        size: 58,
        values: (_, values) => values.map((value) => chart.format(value)),
      },
    ],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? undefined)] },
  };
}

function readoutOf(
  { data }: uPlot,
  chart: Required<Chart>,
  runs: readonly PlottedRun[],
  beta: number,
  at: number,
): string {
  const perRun = beta > 0 ? 2 : 1;
  const values = runs.flatMap(({ name }, run) => {
    const value = data[run * perRun + perRun]?.[at];
    if (value === null || value === undefined) return [];
    return [named(runs, name, format(chart, value))];
  });
  return [`step ${data[0][at]}`, ...values].join(' · ');
}

function latestOf(chart: Required<Chart>, runs: readonly PlottedRun[], beta: number): string {
  return runs
    .map(({ name, curve: { y } }) =>
      named(runs, name, format(chart, beta > 0 ? smoothed(y, beta).at(-1) : y.at(-1))),
    )
    .join(' · ');
}

/** A run's name stands before its value where there are several. */
const named = (runs: readonly unknown[], name: string, value: string): string =>
  runs.length > 1 ? `${name} ${value}` : value;

const format = (chart: Required<Chart>, value: number | null | undefined): string =>
  value === null || value === undefined ? '–' : chart.format(value);
