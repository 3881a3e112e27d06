/**
 * A run in a process of its own, to be killed: `node … run-in-child.ts FOLDER`. Says each step, and
 * the adapter's hash at its end.
 */
import { createHash } from 'node:crypto';
import { folderCheckpointStore, train } from '../src/index.js';
import { adapterBytes, tinyModel, tinyRun } from './tiny-run.js';

const model = await tinyModel('deberta-v2');
const { request } = tinyRun(model, {
  store: folderCheckpointStore(process.argv[2]!),
  options: { epochs: 3, checkpointEverySteps: 4, resume: true },
});
request.bus!.listen((event) => {
  if (event.type === 'run/started')
    process.stdout.write(`started at ${event.resumedAtStep ?? 0}\n`);
  if (event.type === 'step/completed') process.stdout.write(`step ${event.step}\n`);
});
await train(request);
process.stdout.write(
  `adapter ${createHash('sha256')
    .update(JSON.stringify(adapterBytes(model)))
    .digest('hex')}\n`,
);
