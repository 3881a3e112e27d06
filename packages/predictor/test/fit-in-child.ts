/**
 * Fits in a process of its own, which kills itself after a step if asked to: `fit-in-child.ts
 * FOLDER [STEP]`. Prints what happens.
 */
import { PeftPredictor } from '../src/index.js';
import { QUICK, quickRows } from './quick.js';

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const predictor = new PeftPredictor({
  label: 'topic',
  path: process.argv[2]!,
  evalMetric: 'log_loss',
  hyperparameters: QUICK,
});
predictor.listen((event) => {
  if (event.type === 'run/started') say(`started at ${event.resumedAtStep ?? 0}`);
  if (event.type === 'step/completed' && event.step === Number(process.argv[3]))
    process.kill(process.pid, 'SIGKILL');
});
await predictor.fit(quickRows(40), { resume: true });
say('fitted');
predictor.dispose();
