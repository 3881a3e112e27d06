/** The thread itself: answers one call after another. */
import { parentPort, workerData } from 'node:worker_threads';
import { sendError } from '@peft/predictor';
import type { RunRequests } from '../studio-options.js';
import { threadCalls } from './thread-calls.js';
import { READY, type ThreadAnswer, type ThreadQuestion } from './thread-messages.js';

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
port.postMessage(READY satisfies ThreadAnswer);
