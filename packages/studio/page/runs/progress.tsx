/** How far a run is, what is left, and its memory beside the plan. */
import type { RunLine, RunSeries } from '../../src/api-types.js';
import { bytes, duration, percent, shortNumber, wholeNumber } from '../state/format.js';
import { isLive } from '../state/run-state.js';
import type { ChosenRun } from '../state/use-runs.js';

interface ProgressProps {
  readonly line: RunLine;
  readonly run: ChosenRun;
}

export function Progress({ line, run }: ProgressProps) {
  const { series, details } = run;
  const last = series.steps.step.at(-1) ?? line.step ?? 0;
  const planned = series.plannedSteps ?? line.plannedSteps;
  const left = isLive(line) ? secondsLeft(series, last) : undefined;
  const took = secondsTaken(line);
  const peak = series.peakMemoryBytes ?? details.peakResidentBytes;
  const best = Object.entries(details.best?.metrics ?? {})[0];
  return (
    <section aria-label="Progress">
      {isLive(line) && planned !== undefined && (
        <progress value={last} max={planned} aria-label="Steps done" />
      )}
      <dl class="tiles">
        <Tile name="Step" value={stepText(last, planned)} />
        {series.loading && (
          <Tile name={`Loading ${series.loading.what}`} value={percent(series.loading.share)} />
        )}
        {left !== undefined && <Tile name="Time left" value={duration(left)} />}
        {took !== undefined && <Tile name="Took" value={duration(took)} />}
        {line.score !== undefined && (
          <Tile
            name={`Validation ${line.metric?.replaceAll('_', ' ')}`}
            value={shortNumber(line.score)}
          />
        )}
        {line.score === undefined && best && (
          <Tile name={`Best ${best[0].replaceAll('_', ' ')}`} value={shortNumber(best[1])} />
        )}
        {!series.memory && peak !== undefined && <Tile name="Memory at most" value={bytes(peak)} />}
      </dl>
      {series.memory && peak !== undefined && <MemoryBars memory={series.memory} peak={peak} />}
    </section>
  );
}

const Tile = ({ name, value }: { readonly name: string; readonly value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);

const stepText = (step: number, planned: number | undefined): string =>
  planned === undefined ? wholeNumber(step) : `${wholeNumber(step)} of ${wholeNumber(planned)}`;

function secondsLeft(series: RunSeries, step: number): number | undefined {
  const { plannedSteps, secondsPerStep } = series;
  if (plannedSteps === undefined || secondsPerStep === undefined) return undefined;
  return Math.max(0, plannedSteps - step) * secondsPerStep;
}

function secondsTaken({ startedAtMs, endedAtMs, trainingSeconds }: RunLine): number | undefined {
  if (trainingSeconds !== undefined) return trainingSeconds;
  if (startedAtMs === undefined || endedAtMs === undefined) return undefined;
  return (endedAtMs - startedAtMs) / 1000;
}

function MemoryBars({ memory, peak }: { memory: NonNullable<RunSeries['memory']>; peak: number }) {
  const { usableBytes, plannedPeakBytes, changes } = memory;
  const most = Math.max(plannedPeakBytes, peak);
  const bars = [
    ['planned', plannedPeakBytes],
    ['actual', peak],
  ] as const;
  return (
    <div class="bars" role="group" aria-label="Memory planned beside actual">
      {bars.map(([name, value]) => (
        <label key={name} class="bar">
          <span>{name}</span>
          <meter value={value} max={most}>
            {bytes(value)}
          </meter>
          <span>{bytes(value)}</span>
        </label>
      ))}
      <p class="quiet">
        of {bytes(usableBytes)} that were free
        {changes.length > 0 && `; to fit: ${changes.join(', ')}`}
      </p>
    </div>
  );
}
