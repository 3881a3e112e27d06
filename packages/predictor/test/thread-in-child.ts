/**
 * Trains and predicts in a thread and counts the kernels that this thread computes meanwhile:
 * `thread-in-child.ts FOLDER`. Prints JSON.
 */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadPredictorThread, startPredictorThread, uncheckedMetric } from '../src/index.js';
import { QUICK, quickRows } from './quick.js';

const path = join(process.argv[2]!, 'out');
const rows = quickRows(40);
const events: string[] = [];
const controller = new AbortController();
let kernels = 0;
const engine = tf.engine();
const runKernel = engine.runKernel.bind(engine);
engine.runKernel = (...call) => {
  kernels += 1;
  return runKernel(...call);
};
const codeOf = (call: Promise<unknown>): Promise<string | undefined> =>
  call.then(
    () => undefined,
    (error: unknown) => (error as { code?: string }).code,
  );

const options = { label: 'topic', path, evalMetric: 'log_loss', hyperparameters: QUICK } as const;
const thread = await startPredictorThread(options, {
  onEvent: (event) => {
    events.push(event.type);
    if (event.type === 'step/completed' && event.step === 3) controller.abort();
    throw new Error('a listener that fails');
  },
});
const aborted = await codeOf(thread.fit(rows, { signal: controller.signal }));
await thread.fit(rows, { resume: true });
const predictions = await thread.predict(rows.slice(0, 4));
const kernelsHere = kernels;
const { steps } = await thread.fitSummary();
const unclonable = await codeOf(thread.fit(rows, { columns: [() => 'a'] as unknown as string[] }));
await thread.dispose();
const disposed = await codeOf(thread.predict(rows));
const loaded = await loadPredictorThread(path, { engine: 'portable' });
const again = await loaded.predict(rows.slice(0, 4));
const unknown = await codeOf(loaded.evaluate(rows, { metrics: uncheckedMetric('acuracy') }));
await loaded.dispose();
const kernelsBefore = kernels;
tf.add(1, 1).dispose();
process.stdout.write(
  `${JSON.stringify({
    aborted,
    steps,
    predictions,
    again,
    unclonable,
    disposed,
    unknown,
    events: [...new Set(events)],
    kernelsHere,
    kernelsOfASum: kernels - kernelsBefore,
  })}\n`,
);
