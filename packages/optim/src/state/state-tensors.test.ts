import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openSafetensors, writeSafetensors } from '@peft/hub';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { adafactor } from '../rules/adafactor.js';
import { createOptimizer, OPTIMIZER_NAMES } from '../rules/create-optimizer.js';
import { sgd } from '../rules/sgd.js';
import type { Optimizer } from '../rules/optimizer.js';
import { pagedStateStore } from './paged-state-store.js';
import type { TrainableParameter } from '../parameters/parameter.js';
import { restoreState, stateTensors } from './state-tensors.js';

const folder = mkdtempSync(path.join(tmpdir(), 'peft-optim-'));
beforeAll(() => tf.setBackend('cpu'));
afterAll(() => rmSync(folder, { recursive: true }));

const shapes = { vector: [3], matrix: [40, 110], long: [9001] } as const;
const noise = (seed: number, length: number): Float32Array =>
  Float32Array.from(
    { length },
    (_, i) => Math.sin(seed * 12.9898 + i * 78.233) * 10 ** (((i + seed) % 5) - 3),
  );

function start(): TrainableParameter[] {
  return Object.entries(shapes).map(([name, shape], i) => ({
    name,
    variable: tf.tidy(() =>
      tf.variable(
        tf.tensor(
          noise(
            i,
            shape.reduce((a, b) => a * b, 1),
          ),
          [...shape],
        ),
      ),
    ),
    group: { learningRateScale: 1, weightDecay: 0.01 },
  }));
}

async function steps(
  optimizer: Optimizer,
  parameters: TrainableParameter[],
  state: ReturnType<Optimizer['init']>,
  from: number,
  to: number,
): Promise<void> {
  for (let t = from; t < to; t += 1) {
    const gradients = Object.fromEntries(
      parameters.map(({ name, variable }, i) => [name, noise(100 * t + i, variable.size)]),
    );
    if (t === 2) delete gradients['long']; // its step count differs from the others' from here on
    await optimizer.update(parameters, gradients, state, { learningRate: 1e-2 / (t + 1) });
  }
}

const bytes = (parameters: TrainableParameter[]): string =>
  parameters
    .map(({ variable }) =>
      Buffer.from(new Float32Array(variable.dataSync<'float32'>()).buffer).toString('base64'),
    )
    .join();

const optimizers = [
  ...OPTIMIZER_NAMES.map((name) => createOptimizer(name)),
  sgd({ momentum: 0.9 }),
  adafactor({ beta1: 0.9, relativeStep: false }),
];

describe('a run that stops, is saved and resumes ends with the same bytes as one that does not', () => {
  test.each(optimizers.map((optimizer, i) => [`${optimizer.name} (${i})`, optimizer, i] as const))(
    '%s',
    async (_name, optimizer, i) => {
      const whole = start();
      const state = optimizer.init(whole);
      await steps(optimizer, whole, state, 0, 8);

      const first = start();
      const before = optimizer.init(first, {
        store: pagedStateStore({ residentBytes: 20_000, pageBytes: 4096, directory: folder }),
      });
      await steps(optimizer, first, before, 0, 5);
      const file = path.join(folder, `${i}.safetensors`);
      await writeSafetensors(file, await stateTensors(before));
      before.dispose();

      const after = optimizer.init(first);
      const saved = openSafetensors(file);
      await restoreState(
        after,
        saved.names().map((name) => saved.get(name)!),
      );
      saved.close();
      await steps(optimizer, first, after, 5, 8);

      expect(bytes(first)).toBe(bytes(whole));
      expect(
        (await stateTensors(after)).map(({ name, read }) => [
          name,
          Buffer.from(read()).toString('base64'),
        ]),
      ).toEqual(
        (await stateTensors(state)).map(({ name, read }) => [
          name,
          Buffer.from(read()).toString('base64'),
        ]),
      );
    },
  );
});

describe('state tensors', () => {
  test("are named after the parameter and the reference library's slot", async () => {
    const names = async (optimizer: Optimizer): Promise<string[]> =>
      (await stateTensors(optimizer.init(start()))).map(
        ({ name, dtype, shape }) => `${name} ${dtype} ${shape.join('x')}`,
      );
    expect(await names(createOptimizer('adamw_8bit'))).toEqual([
      'vector.state1 F32 3', 'vector.state2 F32 3', 'vector.step I32 1',
      'matrix.state1 U8 40x110', 'matrix.state2 U8 40x110', 'matrix.absmax1 F32 18', 'matrix.absmax2 F32 18', 'matrix.step I32 1',
      'long.state1 U8 9001', 'long.state2 U8 9001', 'long.absmax1 F32 36', 'long.absmax2 F32 36', 'long.step I32 1',
    ]); // prettier-ignore
    expect(await names(createOptimizer('adafactor'))).toContain('matrix.exp_avg_sq_col F32 110');
  });

  test('can be read in parts, also from pages', async () => {
    const parameters = start();
    const optimizer = createOptimizer('adamw_8bit');
    for (const store of [
      undefined,
      pagedStateStore({ residentBytes: 0, pageBytes: 1024, directory: folder }),
    ]) {
      const state = optimizer.init(parameters, store ? { store } : {});
      await steps(optimizer, parameters, state, 0, 1);
      for (const tensor of await stateTensors(state)) {
        const all = tensor.read();
        const cuts = [0, 1, 5, 777, 3000, tensor.byteLength].filter(
          (cut) => cut <= tensor.byteLength,
        );
        const parts = cuts.slice(1).flatMap((cut, i) => [...tensor.read(cuts[i], cut - cuts[i]!)]);
        expect(parts).toEqual([...all.subarray(0, cuts.at(-1))]);
      }
      state.dispose();
    }
  });

  test('that do not fit are refused by name, and the state stays fresh', async () => {
    const state = createOptimizer('adamw').init(start());
    const saved = await stateTensors(createOptimizer('adamw').init(start()));
    await expect(restoreState(state, saved.slice(1))).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: adamw: the saved state does not fit: "vector.exp_avg" is missing among the 8 saved tensors.
        hint: Resume with the optimiser, method and parameters that made the checkpoint.]
    `);
    await expect(restoreState(state, [...saved, { ...saved[0]!, name: 'other.exp_avg' }])).rejects
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: adamw: the saved state does not fit: "other.exp_avg" belongs to no parameter.
        hint: Resume with the optimiser, method and parameters that made the checkpoint.]
    `);
    await expect(
      restoreState(
        state,
        saved.map((tensor) => ({ ...tensor, shape: [4] })),
      ),
    ).rejects.toThrowErrorMatchingInlineSnapshot(`
      [PeftError: adamw: the saved state does not fit: "vector.exp_avg" is F32 [4], but F32 [3] is wanted.
        hint: Resume with the optimiser, method and parameters that made the checkpoint.]
    `);
    await expect(restoreState(createOptimizer('lion').init(start()), saved)).rejects
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: lion: the saved state does not fit: "vector.state1" is missing among the 9 saved tensors.
        hint: Resume with the optimiser, method and parameters that made the checkpoint.]
    `);
  });
});
