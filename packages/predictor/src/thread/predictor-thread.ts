/**
 * A predictor in a thread of its own, so that an application that trains or predicts stays
 * responsive: loading, tokenising, training and predicting all happen off its event loop. Data,
 * options, events and results cross by structured cloning; tables go by their path or as rows.
 */
import { PeftError } from '@peft/errors';
import type { TrainEvent } from '@peft/core';
import type { Label } from '@peft/data';
import type {
  EvaluateOptions,
  FitOptions,
  FitSummary,
  LoadOptions,
  PredictOptions,
  PredictorData,
  PredictorDescription,
  PredictorOptions,
  ReadOptions,
  SaveOptions,
  Scores,
} from '../settings/predictor-types.js';
import type { RankedDocument } from '../tasks/predictor-task.js';
import type { RankOptions } from '../tasks/ranking/rank-options.js';
import {
  receiveError,
  type ThreadAnswer,
  type ThreadCall,
  type ThreadPlugins,
  type ThreadRequest,
  type ThreadStart,
} from './thread-messages.js';
import { startWorker } from './start-worker.js';

/** {@link PeftPredictor}'s calls, each answered by the thread. One call at a time. */
export interface PredictorThread {
  /** See `PeftPredictor.fit`; `signal` works across the boundary. */
  fit(train: PredictorData, options?: FitOptions): Promise<void>;
  evaluate(data: PredictorData, options?: EvaluateOptions): Promise<Scores>;
  /** Labels, numbers, tags, texts or embeddings: what the task gives. */
  predict<P = Label>(data: PredictorData, options?: PredictOptions): Promise<P[]>;
  predictProba(data: PredictorData, options?: ReadOptions): Promise<Float64Array[]>;
  extractEmbedding(data: PredictorData, options?: ReadOptions): Promise<Float32Array[]>;
  rank(
    query: string,
    documents: readonly string[],
    options?: RankOptions,
  ): Promise<RankedDocument[]>;
  save(path: string, options?: SaveOptions): Promise<void>;
  fitSummary(): Promise<FitSummary>;
  describe(): Promise<PredictorDescription>;
  /** Ends the thread, whatever it does; a call that runs is rejected. */
  dispose(): Promise<void>;
}

/** Who is told of what happens in the thread. */
export interface ThreadOptions {
  readonly onEvent?: (event: TrainEvent) => unknown;
  /** Told of what `onEvent` threw or was rejected with. */
  readonly onListenerError?: (error: unknown) => void;
}

/**
 * Starts a thread with a new predictor. Methods, engines and families of third parties come by the
 * modules that `plugins` names.
 * @throws PEFT_THREAD_OPTIONS for what cannot cross into it (functions: `modules`, a metric or
 *   method given as a value); what `new PeftPredictor` throws
 */
export const startPredictorThread = (
  options: Omit<PredictorOptions, 'modules' | 'onListenerError'> & ThreadPlugins,
  listeners: ThreadOptions = {},
): Promise<PredictorThread> => openThread({ options }, listeners);

/** Starts a thread with the predictor of a folder. @throws what `PeftPredictor.load` throws */
export const loadPredictorThread = (
  path: string,
  options: Omit<LoadOptions, 'modules' | 'onListenerError' | 'onEvent' | 'signal'> &
    ThreadPlugins = {},
  listeners: ThreadOptions = {},
): Promise<PredictorThread> => openThread({ load: path, options }, listeners);

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

async function openThread(
  start: ThreadStart,
  { onEvent, onListenerError = () => undefined }: ThreadOptions,
): Promise<PredictorThread> {
  const worker = crossing(() =>
    startWorker(new URL('./thread-entry', import.meta.url), import.meta.url.endsWith('.ts'), start),
  );
  const waiting = new Map<number, Waiting>();
  let ids = 0;
  let gone: Error | undefined;
  const tell = (event: TrainEvent): void => {
    try {
      Promise.resolve(onEvent?.(event)).catch(onListenerError);
    } catch (error) {
      onListenerError(error);
    }
  };
  const end = (error: Error): void => {
    gone ??= error;
    for (const { reject } of waiting.values()) reject(gone);
    waiting.clear();
  };
  await new Promise<void>((resolve, reject) => {
    worker.on('message', (answer: ThreadAnswer) => {
      if ('event' in answer) return tell(answer.event);
      if ('ready' in answer) return resolve();
      if ('failed' in answer) return reject(receiveError(answer.failed));
      const call = waiting.get(answer.id);
      waiting.delete(answer.id);
      if ('error' in answer) call?.reject(receiveError(answer.error));
      else call?.resolve(answer.value);
    });
    worker.on('error', (error: Error) => {
      end(error);
      reject(error);
    });
    worker.on('exit', (code) => {
      end(endedError(code));
      reject(endedError(code));
    });
  });
  const call = async (name: ThreadCall, ...values: unknown[]): Promise<unknown> => {
    if (gone) throw gone;
    const last = values.at(-1) as { readonly signal?: AbortSignal } | undefined;
    const signal = last?.signal;
    const id = (ids += 1);
    const sent = signal ? [...values.slice(0, -1), { ...last, signal: undefined }] : values;
    const send = (request: ThreadRequest): void => worker.postMessage(request);
    const onAbort = (): void => send({ abort: id });
    crossing(() => send({ id, call: name, values: sent, hasSignal: signal !== undefined }));
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort);
    try {
      return await new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  };
  return {
    fit: async (train, options) => void (await call('fit', train, options)),
    evaluate: async (data, options) => (await call('evaluate', data, options)) as Scores,
    predict: async <P>(data: PredictorData, options?: PredictOptions) =>
      (await call('predict', data, options)) as P[],
    predictProba: async (data, options) =>
      (await call('predictProba', data, options)) as Float64Array[],
    extractEmbedding: async (data, options) =>
      (await call('extractEmbedding', data, options)) as Float32Array[],
    rank: async (query, documents, options) =>
      (await call('rank', query, documents, options)) as RankedDocument[],
    save: async (path, options) => void (await call('save', path, options)),
    fitSummary: async () => (await call('fitSummary')) as FitSummary,
    describe: async () => (await call('describe')) as PredictorDescription,
    dispose: async () => {
      end(endedError(0));
      await worker.terminate();
    },
  };
}

/** @throws PEFT_THREAD_OPTIONS for what structured cloning refuses */
function crossing<T>(send: () => T): T {
  try {
    return send();
  } catch (cause) {
    if ((cause as Error).name !== 'DataCloneError') throw cause;
    throw new PeftError(
      'PEFT_THREAD_OPTIONS',
      `predictor: this cannot be given to a thread: ${(cause as Error).message}`,
      {
        hint: 'give data as a path or as rows, methods and metrics by their names; functions stay in their thread',
        cause,
      },
    );
  }
}

const endedError = (code: number): PeftError =>
  new PeftError('PEFT_THREAD_ENDED', `predictor: its thread has ended (code ${code}).`, {
    hint: 'start another one',
  });
