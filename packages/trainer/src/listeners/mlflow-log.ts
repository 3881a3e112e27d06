/**
 * A run's numbers on an MLflow server, by its REST API 2.0: a run in an experiment, parameters,
 * metrics by step, and how it ended.
 */
import type { TrainEvent } from '@peft/core';
import { PeftError } from '@peft/errors';
import { scalarsOf } from './event-scalars.js';

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
  const ask = asker(options.url, timeoutMs);
  let runId: string | undefined;
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
      runId = await beginRun(ask, experimentId, runName, event);
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
  };
}

type Ask = (
  path: string,
  body?: Readonly<Record<string, unknown>>,
) => Promise<Readonly<Record<string, unknown>> | undefined>;

/** A body is posted; without one the path is got, and undefined where nothing is there. */
const asker =
  (url: string, timeoutMs: number): Ask =>
  async (path, body) => {
    const address = `${url.replace(/\/+$/, '')}/api/2.0/mlflow/${path}`;
    const fail = (why: string, cause?: unknown): never => {
      throw new PeftError(
        'PEFT_MLFLOW',
        `trainer: MLflow at ${url} does not take the run: ${why}.`,
        {
          hint: 'the run goes on without; is the address that of an MLflow server?',
          cause,
        },
      );
    };
    try {
      const response = await fetch(address, {
        method: body ? 'POST' : 'GET',
        headers: body ? { 'Content-Type': 'application/json' } : {},
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(timeoutMs),
      });
      if (response.status === 404 && !body) return undefined;
      if (!response.ok) return fail(`${path} was answered with ${response.status}`);
      return (await response.json()) as Readonly<Record<string, unknown>>;
    } catch (error) {
      if (error instanceof PeftError) throw error;
      return fail((error as Error).message, error);
    }
  };

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
): Promise<string> {
  const { modelType, method, engine, atMs } = event;
  const tags = Object.entries({ modelType, method, engine });
  const made = await ask('runs/create', {
    experiment_id: experimentId,
    run_name: name,
    start_time: atMs,
    tags: tags.map(([key, value]) => ({ key, value })),
  });
  const { info } = (made?.['run'] ?? {}) as { info?: { run_id?: unknown } };
  return String(info?.run_id);
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
