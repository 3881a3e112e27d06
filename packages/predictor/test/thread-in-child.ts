/**
 * Trains and predicts in a thread and measures how long this thread's event loop is held up
 * meanwhile: `thread-in-child.ts FOLDER`. Prints JSON.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { join } from 'node:path';
import { loadPredictorThread, startPredictorThread } from '../src/index.js';
import { QUICK, quickRows } from './quick.js';

const path = join(process.argv[2]!, 'out');
const rows = quickRows(40);
const events: string[] = [];
const controller = new AbortController();
const delay = monitorEventLoopDelay({ resolution: 1 });
const codeOf = (call: Promise<unknown>): Promise<string | undefined> =>
  call.then(
    () => undefined,
    (error: unknown) => (error as { code?: string }).code,
  );

const options = { label: 'topic', path, evalMetric: 'log_loss', hyperparameters: QUICK };
const thread = await startPredictorThread(options, {
  onEvent: (event) => {
    events.push(event.type);
    if (event.type === 'step/completed' && event.step === 3) controller.abort();
    throw new Error('a listener that fails');
  },
});
delay.enable();
const aborted = await codeOf(thread.fit(rows, { signal: controller.signal }));
await thread.fit(rows, { resume: true });
const predictions = await thread.predict(rows.slice(0, 4));
delay.disable();
const { steps } = await thread.fitSummary();
const unclonable = await codeOf(thread.fit(rows, { columns: [() => 'a'] as unknown as string[] }));
await thread.dispose();
const disposed = await codeOf(thread.predict(rows));
const loaded = await loadPredictorThread(path, { engine: 'portable' });
const again = await loaded.predict(rows.slice(0, 4));
const unknown = await codeOf(loaded.evaluate(rows, { metrics: 'acuracy' }));
await loaded.dispose();
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
    p99Ms: delay.percentile(99) / 1e6,
  })}\n`,
);
