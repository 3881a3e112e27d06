/** Fits in a process of its own, so that a test can kill it. Prints what happens. */
import { PeftPredictor } from '../src/index.js';
import { QUICK, quickRows } from './quick.js';

const predictor = new PeftPredictor({ label: 'topic', path: process.argv[2]!, evalMetric: 'log_loss', hyperparameters: QUICK });
predictor.listen((event) => {
  if (event.type === 'run/started') console.log(`started at ${event.resumedAtStep ?? 0}`);
  if (event.type === 'step/completed') console.log(`step ${event.step}`);
});
await predictor.fit(quickRows(40), { resume: true });
console.log('fitted');
predictor.dispose();
