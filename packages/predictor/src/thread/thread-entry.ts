/** The thread's own program: one predictor, which does what it is told. */
import { parentPort, workerData } from 'node:worker_threads';
import { PeftPredictor } from '../peft-predictor.js';
import { loadPredictorPlugins } from '../plugins/predictor-plugins.js';
import type { PredictorOptions } from '../settings/predictor-types.js';
import {
  sendError,
  type ThreadAnswer,
  type ThreadRequest,
  type ThreadStart,
} from './thread-messages.js';

const port = parentPort!;
const say = (answer: ThreadAnswer): void => port.postMessage(answer);
const running = new Map<number, AbortController>();

async function start(given: ThreadStart): Promise<PeftPredictor> {
  const onEvent = (event: Extract<ThreadAnswer, { event: unknown }>['event']): void =>
    say({ event });
  const { plugins, ...rest } = given.options;
  const options = plugins ? { ...rest, modules: await loadPredictorPlugins(plugins) } : rest;
  if ('load' in given) return PeftPredictor.load(given.load, { ...options, onEvent });
  const predictor = new PeftPredictor(options as PredictorOptions); // each start has its own kind
  predictor.listen(onEvent);
  return predictor;
}

async function answer(
  predictor: PeftPredictor,
  { id, call, values, hasSignal }: Extract<ThreadRequest, { call: unknown }>,
): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  const last = values.at(-1) as object | undefined;
  const args = hasSignal
    ? [...values.slice(0, -1), { ...last, signal: controller.signal }]
    : [...values];
  try {
    // its names and arguments are those of PeftPredictor's methods, which check them
    const method = predictor[call].bind(predictor) as (...args: unknown[]) => unknown;
    const value = await method(...args);
    // a fit gives its predictor, which stays here
    say({ id, value: value === predictor ? undefined : value });
  } catch (error) {
    say({ id, error: sendError(error) });
  } finally {
    running.delete(id);
  }
}

try {
  const predictor = await start(workerData as ThreadStart);
  port.on('message', (request: ThreadRequest) => {
    if ('abort' in request) running.get(request.abort)?.abort();
    else void answer(predictor, request);
  });
  say({ ready: true });
} catch (error) {
  say({ failed: sendError(error) });
  port.close();
}
