/**
 * Reads a checkpoint in a process of its own and says in JSON what it took: `load-in-child.ts
 * FOLDER FORMAT`. The system's own peak of the process's memory (VmHWM) is started anew before the
 * model is loaded.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as tf from '@tensorflow/tfjs';
import { loadModel } from '@peft/core';
import { openCheckpoint, readModelConfig } from '@peft/hub';
import { llama } from '@peft/models';
import { createNativeEngine } from '@peft/native';
import { quantizedBase } from '../src/index.js';

const [folder, format] = process.argv.slice(2) as [string, 'nf4' | 'int8' | 'none'];
const engine = createNativeEngine();
await engine.activate();
tf.dispose(tf.add(tf.ones([4]), 1)); // the backend has started
const store = openCheckpoint(folder);
const config = readModelConfig(folder);
setFlagsFromString('--expose-gc');
(runInNewContext('gc') as () => void)();
writeFileSync('/proc/self/clear_refs', '5');
const before = kilobytes('VmRSS') * 1024;
const model = loadModel(llama, config, store, engine, {
  head: { kind: 'causal-lm' },
  ...(format === 'none' ? {} : quantizedBase({ format })),
});
const peak = kilobytes('VmHWM') * 1024;
const after = kilobytes('VmRSS') * 1024;
process.stdout.write(
  `${JSON.stringify({ addedPeak: peak - before, added: after - before, weights: model.weights.byteLength })}\n`,
);
model.dispose();
store.close();
engine.dispose();

function kilobytes(name: string): number {
  return Number(
    new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))![1],
  );
}
