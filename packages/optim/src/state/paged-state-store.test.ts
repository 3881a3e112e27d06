import {
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { adafactor } from '../rules/adafactor.js';
import { adamw } from '../rules/adamw.js';
import { adamw8bit, lion8bit } from './eight-bit.js';
import type { PeftError } from '@peft/errors';
import type { Optimizer, OptimizerState } from '../rules/optimizer.js';
import { PageFile } from './page-file.js';
import { pagedStateStore } from './paged-state-store.js';
import type { TrainableParameter } from '../parameters/parameter.js';

let folder: string;
const folders: string[] = [];
beforeAll(() => tf.setBackend('cpu'));
beforeEach(() => folders.push((folder = mkdtempSync(path.join(tmpdir(), 'peft-pages-')))));
afterAll(() => folders.forEach((made) => rmSync(made, { recursive: true })));

const noise = (seed: number, length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(seed * 12.9898 + i * 78.233));
const sizes = [[5], [7001], [90, 130], [256]];
const start = (): TrainableParameter[] =>
  sizes.map((shape, i) => ({
    name: `p${i}`,
    variable: tf.tidy(() =>
      tf.variable(
        tf.tensor(
          noise(
            i,
            shape.reduce((a, b) => a * b, 1),
          ),
          shape,
        ),
      ),
    ),
    group: { learningRateScale: 1, weightDecay: 0.1 },
  }));
const update = (
  optimizer: Optimizer,
  parameters: TrainableParameter[],
  state: OptimizerState,
  t: number,
): Promise<void> =>
  optimizer.update(
    parameters,
    Object.fromEntries(
      parameters.map(({ name, variable }, i) => [name, noise(10 * t + i, variable.size)]),
    ),
    state,
    { learningRate: 0.01 },
  );
const bytes = (parameters: TrainableParameter[]): string[] =>
  parameters.map(({ variable }) =>
    Buffer.from(new Float32Array(variable.dataSync<'float32'>()).buffer).toString('base64'),
  );
const pageFiles = (): string[] => readdirSync(folder).map((name) => path.join(folder, name));

describe('paging', () => {
  const cases = [adamw(), adamw8bit(), lion8bit(), adafactor({ beta1: 0.9 })].flatMap((optimizer) =>
    [0, 30_000, 90_000, 10_000_000].map((budget) => [optimizer.name, budget, optimizer] as const),
  );
  test.each(cases)(
    '%s with %i resident bytes gives the same bits as without paging, with or without prefetching',
    async (_name, residentBytes, optimizer) => {
      const expected = start();
      const plain = optimizer.init(expected);
      for (let t = 0; t < 5; t += 1) await update(optimizer, expected, plain, t);

      const parameters = start();
      const state = optimizer.init(parameters, {
        store: pagedStateStore({
          residentBytes,
          pageBytes: 8192,
          prefetchPages: 1,
          directory: folder,
        }),
      });
      for (let t = 0; t < 5; t += 1) {
        if (t === 2) await Promise.all([state.store.prefetch(), state.store.prefetch()]);
        // the update comes first and wins
        const late = t === 3 ? state.store.prefetch() : undefined;
        await update(optimizer, parameters, state, t);
        await late;
      }
      expect(bytes(parameters)).toEqual(bytes(expected));
      expect(state.store.totalBytes).toBe(plain.store.totalBytes);
      state.dispose();
    },
  );

  test('keeps to its budget, counting buffers, and makes no file when all fits', async () => {
    const parameters = start();
    const total = adamw().init(parameters).store.totalBytes;
    for (const residentBytes of [40_000, 100_000, total]) {
      const state = adamw().init(parameters, {
        store: pagedStateStore({ residentBytes, pageBytes: 8192, directory: folder }),
      });
      for (let t = 0; t < 2; t += 1) await update(adamw(), parameters, state, t);
      expect(state.store.residentBytes).toBeLessThanOrEqual(residentBytes);
      expect(state.store.residentBytes).toBeGreaterThan(0);
      expect(pageFiles()).toHaveLength(residentBytes < total ? 1 : 0);
      expect(
        pageFiles().reduce((sum, file) => sum + statSync(file).size, 0),
      ).toBeGreaterThanOrEqual(total - residentBytes);
      state.dispose();
    }
  });

  test('removes its file when disposed', () => {
    const state = adamw().init(start(), {
      store: pagedStateStore({ residentBytes: 0, directory: folder }),
    });
    expect(pageFiles()).toHaveLength(1);
    state.dispose();
    expect(pageFiles()).toEqual([]);
  });

  test('a store serves one state', () => {
    const store = pagedStateStore({ residentBytes: 0, directory: folder });
    const state = adamw().init(start(), { store });
    expect(() => adamw().init(start(), { store })).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: optim: the state store belongs to another optimiser state already.
        hint: Make a store for each init.]
    `);
    state.dispose();
  });
});

describe('a page file that fails', () => {
  const running = async (): Promise<{
    parameters: TrainableParameter[];
    state: OptimizerState;
    file: string;
  }> => {
    const parameters = start();
    const state = adamw().init(parameters, {
      store: pagedStateStore({ residentBytes: 0, pageBytes: 8192, directory: folder }),
    });
    await update(adamw(), parameters, state, 0);
    return { parameters, state, file: pageFiles()[0]! };
  };
  const message = async (action: () => unknown): Promise<string> => {
    try {
      await action();
    } catch (error) {
      const { code, message: text } = error as PeftError;
      const shown = text
        .replaceAll(/\S+\.pages/g, 'FILE')
        .replaceAll(/\d{3,} are free/g, 'N are free');
      return `${code}\n${shown}`;
    }
    throw new Error('nothing was thrown');
  };

  test('by a changed byte', async () => {
    const { parameters, state, file } = await running();
    const descriptor = openSync(file, 'r+');
    writeSync(descriptor, Uint8Array.of(0x55), 0, 1, 9000);
    closeSync(descriptor);
    expect(await message(() => update(adamw(), parameters, state, 1))).toMatchInlineSnapshot(`
      "PEFT_PAGE_FILE_CORRUPT
      optim: the page at byte 8232 of FILE is not what was written: the checksum differs.
        hint: Something else wrote to the file, or the disk is failing. Resume from the last checkpoint, with another page directory."
    `);
    state.dispose();
  });

  test('by its end', async () => {
    const { parameters, state, file } = await running();
    truncateSync(file, 60_000);
    expect(await message(() => update(adamw(), parameters, state, 1))).toMatchInlineSnapshot(`
      "PEFT_PAGE_FILE_CORRUPT
      optim: the page at byte 56048 of FILE is not what was written: 3952 of 8192 bytes are there.
        hint: Something else wrote to the file, or the disk is failing. Resume from the last checkpoint, with another page directory."
    `);
    state.dispose();
  });

  test('by being removed', async () => {
    const { parameters, state, file } = await running();
    rmSync(file);
    expect(await message(() => update(adamw(), parameters, state, 1))).toMatchInlineSnapshot(`
      "PEFT_PAGE_FILE_MISSING
      optim: the page file FILE was removed while its optimiser state was in use.
        hint: Resume from the last checkpoint, with the page directory where nothing cleans up."
    `);
    state.dispose();
  });

  test('by a file system with too little room, before training starts', async () => {
    expect(await message(() => PageFile.create(folder, 2 ** 60))).toMatchInlineSnapshot(`
      "PEFT_PAGE_FILE_DISK_FULL
      optim: there is no room for the page file FILE: 1152921504606847000 bytes are needed and N are free.
        hint: Free space, choose another page directory, raise the residency budget, or use an 8-bit optimiser. After a failure within a step, resume from the last checkpoint."
    `);
    expect(pageFiles()).toEqual([]);
  });

  test.skipIf(!existsSync('/dev/full'))(
    'by a disk that is full when a page is written (a device that always is; Linux only)',
    async () => {
      const parameters = start();
      const openFile = (): PageFile => new PageFile(openSync('/dev/full', 'r+'), '/dev/full');
      const state = adamw().init(parameters, {
        store: pagedStateStore({ residentBytes: 0, openFile }),
      });
      expect(await message(() => update(adamw(), parameters, state, 0))).toMatchInlineSnapshot(`
      "PEFT_PAGE_FILE_DISK_FULL
      optim: there is no room for the page file /dev/full: ENOSPC: no space left on device, write.
        hint: Free space, choose another page directory, raise the residency budget, or use an 8-bit optimiser. After a failure within a step, resume from the last checkpoint."
    `);
      state.dispose();
      expect(existsSync('/dev/full')).toBe(true);
    },
  );

  test('by a folder that cannot be made', async () => {
    const { state, file } = await running();
    expect(await message(() => PageFile.create(path.join(file, 'below'), 1))).toMatch(
      /^PEFT_PAGE_FILE_UNUSABLE\n/,
    );
    state.dispose();
  });
});
