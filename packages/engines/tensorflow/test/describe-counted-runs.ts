/** Holds the memory plan to the tensors that TensorFlow really has. */
import * as tf from '@tensorflow/tfjs';
import { createTensorflowEngine } from '@peft/tensorflow';
import { afterAll, describe, expect, test } from 'vitest';
import { countMemory } from './counted-memory.js';
import { missingLibrary } from './missing-library.js';
import { openRun, passBoth, passForward, planOf, RUNS } from './planned-run.js';

/** What may differ: masks and indices are left out of account. */
const TOLERANCE = 0.03;

/** @param fusedKernels as for the engine; once per process. */
export function describeCountedRuns(kernels: string, fusedKernels: boolean): void {
  const reason = missingLibrary();
  describe.skipIf(reason)(
    `a plan for TensorFlow ${kernels}${reason ? ` (skipped: ${reason})` : ''}`,
    () => {
      afterAll(async () => void (await tf.setBackend('cpu')));

      test.each(RUNS.map((run) => [run.title, run] as const))(
        'counts the tensors of %s',
        async (_title, run) => {
          const engine = await createTensorflowEngine({ precision: run.precision, fusedKernels });
          await engine.activate();
          const counted = countMemory();
          try {
            const model = openRun(run, engine);
            // uploads what still lies in JavaScript, and makes the tables that a model keeps
            passBoth(run, model);
            const held = counted.livingBytes;
            const peakOf = (pass: () => void): number => {
              counted.resetPeak();
              pass();
              return counted.peakBytes - held;
            };
            const [training, evaluation] = [
              peakOf(() => passBoth(run, model)),
              peakOf(() => passForward(run, model)),
            ];
            expect(counted.livingBytes).toBe(held);
            model.dispose();
            const plan = planOf(run);
            expect(Math.abs((plan.weightBytes + plan.adapterBytes) / held - 1)).toBeLessThan(
              TOLERANCE,
            );
            expect(Math.abs(plan.activationBytes / training - 1)).toBeLessThan(TOLERANCE);
            expect(Math.abs(plan.evaluationBytes / evaluation - 1)).toBeLessThan(TOLERANCE);
          } finally {
            counted.stop();
          }
        },
      );
    },
  );
}
