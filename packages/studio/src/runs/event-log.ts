/** A run's `events.jsonl`, read as it grows: what was read is never read again. */
import { open, stat } from 'node:fs/promises';
import type { TrainEvent } from '@peft/core';
import type { CheckPoint, RunSeries, Warning } from '../api-types.js';
import { StepLog } from './step-log.js';

const CHUNK_BYTES = 1 << 20;
/** A line that is longer is no event of ours. */
const MAXIMUM_LINE_BYTES = 8 << 20;
const MAXIMUM_WARNINGS = 100;
/** Steps that the time of a step is taken from. */
const TIMED_STEPS = 20;
const LINE_END = 0x0a;

/** The last run of one log. */
export class EventLog {
  readonly #path: string;
  /** Bytes that were taken in, up to the end of a line. */
  #offset = 0;
  #modifiedMs = 0;
  #reading: Promise<void> | undefined;
  #editions = 0;
  #run = emptyRun();
  /** What a run of another id said before it started. */
  #next = emptyRun();

  constructor(path: string) {
    this.#path = path;
  }

  /** Takes in what was appended since. A file that is missing has no events yet. */
  read(): Promise<void> {
    this.#reading ??= this.#readOn().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  /**
   * @param after steps that the asker has of that edition already
   * @param most points at most, about
   */
  series(after: number, edition: string | undefined, most: number): RunSeries {
    const { steps, times, runId: _, ...told } = this.#run;
    const own = String(this.#editions);
    return {
      ...told,
      edition: own,
      recordedSteps: steps.length,
      steps: steps.thinned(edition === own ? after : 0, most),
      secondsPerStep: secondsPerStep(times),
    };
  }

  async #readOn(): Promise<void> {
    const size = await sizeOf(this.#path);
    if (size === undefined || (size.bytes === this.#offset && size.ms === this.#modifiedMs)) return;
    if (size.bytes < this.#offset) this.#restart();
    const file = await open(this.#path, 'r');
    try {
      let rest: Buffer = Buffer.alloc(0);
      for (let at = this.#offset; ;) {
        const { bytesRead, buffer } = await file.read(
          Buffer.alloc(CHUNK_BYTES),
          0,
          CHUNK_BYTES,
          at,
        );
        if (bytesRead === 0) break;
        at += bytesRead;
        const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
        const end = bytes.lastIndexOf(LINE_END) + 1;
        for (const line of bytes.toString('utf8', 0, end).split('\n')) this.#take(line);
        this.#offset += end;
        rest = bytes.subarray(end);
        if (rest.length > MAXIMUM_LINE_BYTES) break;
      }
      this.#modifiedMs = size.ms;
    } finally {
      await file.close();
    }
  }

  #restart(): void {
    this.#offset = 0;
    this.#editions += 1;
    this.#run = emptyRun();
    this.#next = emptyRun();
  }

  /** A line that is no event is passed over: a killed process may have left half of one. */
  #take(line: string): void {
    if (line === '') return;
    let event: TrainEvent;
    try {
      event = JSON.parse(line) as TrainEvent;
    } catch {
      return;
    }
    if (event.type === 'run/started') this.#begin(event);
    else this.#hear(this.#runOf(event.runId), event);
  }

  #runOf(runId: string): Told {
    if (this.#run.runId === runId) return this.#run;
    if (this.#next.runId !== runId) this.#next = { ...emptyRun(), runId };
    return this.#next;
  }

  #begin(event: Extract<TrainEvent, { type: 'run/started' }>): void {
    const { resumedAtStep, plannedSteps, plannedEpochs, atMs, runId } = event;
    const before = this.#run;
    const said = this.#runOf(runId);
    const started = { ...said, runId, plannedSteps, plannedEpochs, startedAtMs: atMs };
    if (before.runId !== undefined) this.#editions += 1;
    if (resumedAtStep === undefined) {
      this.#run = started;
      return;
    }
    before.steps.keepBefore(resumedAtStep + 1);
    this.#run = {
      ...started,
      steps: before.steps,
      checks: before.checks.filter(({ step }) => step <= resumedAtStep),
      resumedAtSteps: [...before.resumedAtSteps, resumedAtStep],
    };
  }

  #hear(run: Told, event: Exclude<TrainEvent, { type: 'run/started' }>): void {
    switch (event.type) {
      case 'step/completed':
        run.loading = undefined;
        run.times.push({ step: event.step, atMs: event.atMs });
        if (run.times.length > TIMED_STEPS) run.times.shift();
        return run.steps.add(event);
      case 'evaluation/completed': {
        const { step, metrics, isBest } = event;
        return void run.checks.push({ step, metrics, isBest });
      }
      case 'memory/planned': {
        const { peakBytes, usableBytes } = event.gpu ?? event;
        run.memory = { plannedPeakBytes: peakBytes, usableBytes, changes: event.changes };
        return;
      }
      case 'weights/loaded':
      case 'download/progressed':
        run.loading = {
          what: event.type === 'weights/loaded' ? 'weights' : event.file,
          share: event.loadedBytes / Math.max(1, event.totalBytes),
        };
        return;
      case 'run/warned': {
        const { code, message, hint } = event;
        if (run.warnings.length < MAXIMUM_WARNINGS) run.warnings.push({ code, message, hint });
        return;
      }
      case 'run/ended':
        run.loading = undefined;
        run.peakMemoryBytes = event.peakMemoryBytes;
    }
  }
}

interface Told {
  readonly steps: StepLog;
  readonly checks: CheckPoint[];
  readonly warnings: Warning[];
  readonly resumedAtSteps: readonly number[];
  readonly runId?: string;
  /** When the last steps ended. */
  readonly times: { readonly step: number; readonly atMs: number }[];
  startedAtMs?: number;
  plannedSteps?: number;
  plannedEpochs?: number;
  memory?: RunSeries['memory'];
  peakMemoryBytes?: number;
  loading?: RunSeries['loading'];
}

const emptyRun = (): Told => ({
  steps: new StepLog(),
  checks: [],
  warnings: [],
  resumedAtSteps: [],
  times: [],
});

function secondsPerStep(times: Told['times']): number | undefined {
  const [first, last] = [times[0], times.at(-1)];
  if (!first || !last || last.step <= first.step) return undefined;
  return (last.atMs - first.atMs) / 1000 / (last.step - first.step);
}

async function sizeOf(path: string): Promise<{ bytes: number; ms: number } | undefined> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { bytes: size, ms: mtimeMs };
  } catch {
    return undefined;
  }
}
