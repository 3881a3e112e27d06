/** The thread itself: answers one call after another. */
import { parentPort, workerData } from 'node:worker_threads';
import { sendError, type SentError } from '@peft/predictor';
import type { RunRequests } from '../studio-options.js';
import { threadCalls, type ThreadCalls } from './thread-calls.js';

export interface ThreadQuestion {
  readonly id: number;
  readonly call: keyof ThreadCalls;
  readonly values: readonly unknown[];
}

export type ThreadAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SentError };

const { module } = workerData as { readonly module: string };
const { requests } = (await import(module)) as { requests: RunRequests };
const calls = threadCalls(requests);
const port = parentPort!;

port.on('message', ({ id, call, values }: ThreadQuestion) => {
  // its names and arguments are those of ThreadCalls, which the other side is typed by
  const answer = calls[call] as (...given: readonly unknown[]) => Promise<unknown>;
  Promise.resolve()
    .then(() => answer(...values))
    .then(
      (value) => port.postMessage({ id, value } satisfies ThreadAnswer),
      (error: unknown) => port.postMessage({ id, error: sendError(error) } satisfies ThreadAnswer),
    );
});
