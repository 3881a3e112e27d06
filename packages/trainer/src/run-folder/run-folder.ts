/**
 * A run is a folder: `events.jsonl`, every event as a line of JSON, and `run.json`, what the run
 * was asked for and how far it came. Both may be read while they are written.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import type { RunStarted, TrainEvent } from '@peft/core';
import { writeFileAtomic } from '@peft/hub';
import { createJsonlLog } from '../listeners/jsonl-log.js';
import { RUN_FORMAT, RUN_VERSION, type RunFacts, type RunRecord } from './run-record.js';

/** Every event of the folder's runs, a line each; a run that is resumed continues it. */
export const EVENTS_FILE = 'events.jsonl';
/** The {@link RunRecord} of the folder's last run. */
export const RUN_FILE = 'run.json';

/** What writes a run's folder. */
export interface RunFolder {
  /** What `run.json` is to say beside what the events tell; call it before the run starts. */
  describe(facts: RunFacts): void;
  /**
   * A sink for `bus.listen`. Nothing is written before `run/started`; what came before it follows
   * then.
   * @returns when `run.json` is up to date; rejects when it could not be written
   */
  readonly listen: (event: TrainEvent) => Promise<void>;
  /** When what was last heard is in `run.json`; rejects when it could not be written. */
  readonly written: () => Promise<void>;
}

/** @param path the folder; it is made when the run starts. */
export function createRunFolder(path: string): RunFolder {
  const log = createJsonlLog(join(path, EVENTS_FILE));
  let facts: RunFacts = {};
  let early: TrainEvent[] | undefined = [];
  let record: RunRecord | undefined;
  let written: Promise<void> = Promise.resolve();
  return {
    written: () => written,
    describe: (given) => {
      facts = given;
    },
    listen: (event) => {
      if (event.type === 'run/started') {
        early?.forEach(log);
        early = undefined;
      }
      if (early) early.push(event);
      else log(event);
      const next =
        event.type === 'run/started' ? startedRecord(event, facts) : afterEvent(record, event);
      if (!next || next === record) return written;
      record = next;
      const text = `${JSON.stringify(next, null, 2)}\n`;
      written = written
        .catch(() => undefined) // that write was reported
        .then(() => writeFileAtomic(join(path, RUN_FILE), text));
      return written;
    },
  };
}

const startedRecord = (event: RunStarted, facts: RunFacts): RunRecord => ({
  format: RUN_FORMAT,
  version: RUN_VERSION,
  runId: event.runId,
  state: 'running',
  processId: process.pid,
  startedAtMs: event.atMs,
  modelType: event.modelType,
  method: event.method,
  engine: event.engine,
  trainableParameters: event.trainableParameters,
  totalParameters: event.totalParameters,
  plannedSteps: event.plannedSteps,
  resumedAtStep: event.resumedAtStep,
  step: event.resumedAtStep ?? 0,
  ...facts,
  environment: {
    node: process.version,
    platform: process.platform,
    arch: process.arch,
    processors: availableParallelism(),
    memoryBytes: totalmem(),
  },
  versions: { '@peft/trainer': ownVersion() },
});

/** The record after an event that is worth a write, the same record after any other. */
function afterEvent(record: RunRecord | undefined, event: TrainEvent): RunRecord | undefined {
  if (!record) return undefined;
  switch (event.type) {
    case 'evaluation/completed': {
      const { step, metrics, isBest } = event;
      return { ...record, step, best: isBest ? { step, metrics } : record.best };
    }
    case 'checkpoint/saved':
      return { ...record, step: event.step };
    case 'run/ended': {
      const { reason, step, atMs, error } = event;
      return { ...record, state: reason, step, endedAtMs: atMs, error };
    }
    default:
      return record;
  }
}

function ownVersion(): string {
  const path = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
