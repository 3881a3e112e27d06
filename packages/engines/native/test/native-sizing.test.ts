import { createNativeEngine, nativeSizing } from '@peft/native';
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { addon } from './addon.js';

test.skipIf(!addon)('a plan knows the kernels that the backend has', async () => {
  const engine = createNativeEngine();
  await engine.activate();
  const registered = tf
    .getKernelsForBackend(engine.backendName)
    .map(({ kernelName }) => kernelName)
    .filter((name) => name.startsWith('Peft') && name !== 'PeftAdamW'); // an optimiser's, on arrays
  expect(Object.keys(nativeSizing.kernels).sort()).toEqual(registered.sort());
  expect(engine.sizing).toBe(nativeSizing);
  engine.dispose();
});
