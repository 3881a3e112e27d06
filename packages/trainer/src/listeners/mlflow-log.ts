/**
 * A run's numbers on an MLflow server, by its REST API 2.0: a run in an experiment, parameters,
 * metrics by step, and how it ended.
 */
import type { TrainEvent } from '@peft/core';
import { scalarsOf } from './event-scalars.js';
import { sendFile } from './mlflow-files.js';
import { mlflowRequests, type Ask } from './mlflow-requests.js';

/** Which server a run's numbers go to, and what the run is called there. */
export interface MlflowLogOptions {
  /** Of the server, `http://127.0.0.1:5000`. */
  readonly url: string;
  /** It is made where there is none. Default `peft`. */
  readonly experiment?: string;
  /** The run's name there. Default: MLflow's choice. */
  readonly runName?: string;
  /** What the run was asked for, asked for once steps are done; values become texts. */
  readonly parameters?: () => Readonly<Record<string, unknown>>;
  /** Of one request, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
}

/** What sends a run's events. */
export interface MlflowLog {
  /**
   * A sink for `bus.listen`. Nothing waits for the server: events queue up and go in batches.
   * @returns rejects with PEFT_MLFLOW, once, when the server cannot be reached or refuses; the rest
   *   of the run is then not sent
   */
  readonly listen: (event: TrainEvent) => Promise<void>;
  /** When all that was heard has been sent, or given up. */
  readonly sent: () => Promise<void>;
  /**
   * Sends files of a folder along, under their paths in it, where the server takes in artifacts
   * itself. Nothing happens once the rest was given up.
   * @returns rejects with PEFT_MLFLOW where it does not
   */
  readonly sendFiles: (folder: string, paths: readonly string[]) => Promise<void>;
}

interface MlflowMetric {
  readonly key: string;
  readonly value: number;
  readonly timestamp: number;
  readonly step: number;
}

/** MLflow's bounds of one log-batch. */
const MOST_METRICS = 1000;
const MOST_PARAMETERS = 100;
const LONGEST_VALUE = 500;
/** Metrics are sent when so much time has passed, or a batch is full. */
const BATCH_MS = 2000;

/** A log of one run; the run there begins with the first event that is heard. */
export function createMlflowLog(options: MlflowLogOptions): MlflowLog {
  const { experiment = 'peft', parameters, runName, timeoutMs = 10_000 } = options;
  const requests = mlflowRequests(options.url, timeoutMs);
  const { ask } = requests;
  let runId: string | undefined;
  let artifacts = '';
  let waiting: MlflowMetric[] = [];
  let sentAtMs = 0;
  let hasParameters = false;
  let isGivenUp = false;
  let last: Promise<void> = Promise.resolve();

  const sendMetrics = async (): Promise<void> => {
    const metrics = waiting.splice(0, MOST_METRICS);
    const params = hasParameters ? [] : parametersOf(parameters?.() ?? {});
    hasParameters = true;
    if (metrics.length + params.length > 0)
      await ask('runs/log-batch', {
        run_id: runId,
        metrics,
        params: params.slice(0, MOST_PARAMETERS),
      });
    for (let from = MOST_PARAMETERS; from < params.length; from += MOST_PARAMETERS)
      await ask('runs/log-batch', {
        run_id: runId,
        params: params.slice(from, from + MOST_PARAMETERS),
      });
  };
  const hear = async (event: TrainEvent): Promise<void> => {
    if (event.type === 'run/started') {
      const experimentId = await experimentOf(ask, experiment);
      ({ runId, artifacts } = await beginRun(ask, experimentId, runName, event));
      sentAtMs = event.atMs;
      return;
    }
    if (runId === undefined) return;
    waiting.push(...metricsOf(event));
    const isDue = event.atMs - sentAtMs >= BATCH_MS || waiting.length >= MOST_METRICS;
    if (event.type === 'run/ended') {
      do await sendMetrics();
      while (waiting.length > 0);
      await ask('runs/update', { run_id: runId, status: statusOf(event), end_time: event.atMs });
    } else if (isDue && waiting.length > 0) {
      sentAtMs = event.atMs;
      await sendMetrics();
    }
  };
  return {
    listen: (event) => {
      const heard = last.then(() => (isGivenUp ? undefined : hear(event)));
      last = heard.catch(() => {
        isGivenUp = true;
        waiting = [];
      });
      return heard;
    },
    sent: () => last,
    async sendFiles(folder, paths) {
      await last;
      if (isGivenUp || runId === undefined) return;
      for (const path of paths) await sendFile(requests, artifacts, { folder, path });
    },
  };
}

async function experimentOf(ask: Ask, name: string): Promise<unknown> {
  const query = new URLSearchParams({ experiment_name: name });
  const found = await ask(`experiments/get-by-name?${query}`);
  const { experiment_id: known } = (found?.['experiment'] ?? {}) as { experiment_id?: unknown };
  return known ?? (await ask('experiments/create', { name }))?.['experiment_id'];
}

async function beginRun(
  ask: Ask,
  experimentId: unknown,
  name: string | undefined,
  event: Extract<TrainEvent, { type: 'run/started' }>,
): Promise<{ readonly runId: string; readonly artifacts: string }> {
  const { modelType, method, engine, atMs } = event;
  const tags = Object.entries({ modelType, method, engine });
  const made = await ask('runs/create', {
    experiment_id: experimentId,
    run_name: name,
    start_time: atMs,
    tags: tags.map(([key, value]) => ({ key, value })),
  });
  const { info } = (made?.['run'] ?? {}) as {
    info?: { run_id?: unknown; artifact_uri?: unknown };
  };
  return { runId: String(info?.run_id), artifacts: String(info?.artifact_uri ?? '') };
}

const metricsOf = (event: TrainEvent): MlflowMetric[] => {
  const scalars = scalarsOf(event);
  return (scalars?.values ?? [])
    .filter(([, value]) => Number.isFinite(value))
    .map(([key, value]) => ({ key, value, timestamp: event.atMs, step: scalars!.step }));
};

const parametersOf = (values: Readonly<Record<string, unknown>>) =>
  Object.entries(values).map(([key, value]) => ({
    key,
    value: (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).slice(
      0,
      LONGEST_VALUE,
    ),
  }));

function statusOf({ reason }: Extract<TrainEvent, { type: 'run/ended' }>): string {
  if (reason === 'aborted') return 'KILLED';
  return reason === 'failed' || reason === 'diverged' ? 'FAILED' : 'FINISHED';
}
