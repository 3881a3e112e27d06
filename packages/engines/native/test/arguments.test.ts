/** Wrong arguments throw a named error and never reach memory that is not theirs. */
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NativeBinding } from '../src/binding/native-binding.js';
import { addon } from './addon.js';

const native = addon as NativeBinding;
const argumentError = expect.objectContaining({ code: 'PEFT_NATIVE_ARGUMENT' });
// casts to `never` and through `unknown` below are wrong arguments on purpose
const f = (length: number) => new Float32Array(length);

describe.skipIf(!addon)('the addon', () => {
  test('says which argument is wrong, what it must be and what it was', () => {
    expect(() => native.layerNorm(f(5), f(3), f(3), f(6), f(2), f(2), 2, 3, 1e-5)).toThrow(
      'native: layerNorm: x needs 6 elements, got 5.',
    );
    expect(() => native.sumRows([1, 2] as unknown as Float32Array, f(1), 1, 1)).toThrow(
      'native: sumRows: x must be a Float32Array, got an object.',
    );
    expect(() =>
      native.sumRows(new Float64Array(4) as unknown as Float32Array, f(1), 1, 1),
    ).toThrow('native: sumRows: x must be a Float32Array, got another typed array.');
    expect(() => native.fill(f(4), -1, 0)).toThrow(
      'native: fill: length must be an integer from 0 to 1099511627776, got -1.',
    );
    expect(() => native.fill(f(4), NaN, 0)).toThrow('length must be an integer');
    expect(() => native.fill(f(4), 1.5, 0)).toThrow('got 1.500000.');
    expect(() => native.fill(f(4), '4' as unknown as number, 0)).toThrow(
      'length must be a number, got a string.',
    );
    expect(() => native.sumRows(f(4), f(4), 2 ** 39, 2 ** 39)).toThrow(
      'native: a shape of 549755813888 by 549755813888 elements is too large.',
    );
    expect(() => native.gatherRows(f(4), Int32Array.of(0, 2), f(4), 2, 2)).toThrow(
      'row 2 is outside the 2 rows',
    );
    const matrix = native.weightFromBytes(new Uint8Array(2 * 3 * 4), 'f32', 2, 3, false);
    const added = (a: number, b: number, rank: number, scale = 1) =>
      native.linearAdded(matrix, f(3), null, f(a), f(b), rank, scale, f(2), f(rank), 1, false);
    expect(() => added(2, 2, 1)).toThrow('linearAdded: a needs 3 elements, got 2.');
    expect(() => added(3, 1, 1)).toThrow('linearAdded: b needs 2 elements, got 1.');
    expect(() => added(3, 2, 1, Infinity)).toThrow('scale must be finite');
    expect(() => added(3, 2, 1)).not.toThrow();
    const gradient = (x: number | undefined, narrow: number | undefined) => {
      const [ownX, ownNarrow] = [x, narrow].map((length) =>
        length === undefined ? null : f(length),
      ) as [Float32Array | null, Float32Array | null];
      native.linearAddedGradient(
        ...([matrix, f(2), ownX, ownNarrow, f(3), f(2), 1, 1, null, f(3), f(2), 1, false] as const),
      );
    };
    expect(() => gradient(undefined, 1)).toThrow('x must be a Float32Array');
    expect(() => gradient(3, undefined)).toThrow('narrow must be a Float32Array');
    expect(() => gradient(3, 1)).not.toThrow();
    native.weightFree(matrix);
    const thin = (rows: readonly number[], ends: readonly number[], rank = 1) =>
      native.addThinProducts(
        f(4),
        f(4),
        f(4),
        2,
        2,
        2,
        Int32Array.from(rows),
        Int32Array.from(ends),
        [f(2)],
        [f(2)],
        Int32Array.of(rank),
        new Float64Array(1),
      );
    expect(() => thin([0, 2], [2])).toThrow('row 2 is outside the 2 rows');
    expect(() => thin([1, 1], [2])).toThrow('row 1 is there twice');
    expect(() => thin([0, 1], [3])).toThrow('ends must rise up to the number of rows');
    expect(() => thin([0, 1], [-1])).toThrow('ends must rise up to the number of rows');
    expect(() => thin([0, 1], [2], 2)).toThrow('a or b of product 0 is too short');
    expect(() => thin([0, 1], [2], -1)).toThrow('ranks has a negative entry');
    expect(() => native.crossEntropy(f(4), Int32Array.of(0, 2), f(2), f(2), 2, 2)).toThrow(
      'label 2 of row 1 is outside the 2 classes',
    );
    expect(() =>
      native.rope(f(4), f(1), f(1), Int32Array.of(0, 1), f(4), 2, 1, 2, 1, false, false),
    ).toThrow('position 1 is outside the tables of 1 rows');
    expect(() => native.activation(99, f(1), f(1), 1)).toThrow(argumentError);
    expect(() => native.dropout(f(1), f(1), 1, 1, 0, 0)).toThrow(
      'rate must be at least 0 and below 1',
    );
    expect(() => native.setInstructionSet('mmx' as 'avx2')).toThrow(
      'this processor has no instruction set "mmx"',
    );
    expect(() => native.setThreads(257)).toThrow(argumentError);
    expect(() => native.weightFromBytes(new Uint8Array(7), 'f32', 1, 2, false)).toThrow(
      'bytes needs 8 elements, got 7',
    );
    expect(() => native.weightFromBytes(new Uint8Array(8), 'f64' as 'f32', 1, 1, false)).toThrow(
      'format must be one of f32, f16, bf16, got "f64"',
    );
    expect(() =>
      native.matmul(
        f(4),
        f(4),
        f(8),
        2,
        2,
        2,
        2,
        false,
        false,
        Int32Array.of(0, 0),
        Int32Array.of(0, 1),
        false,
        false,
      ),
    ).toThrow('b needs 8 elements, got 4');
    expect(() =>
      native.matmul(
        f(4),
        f(4),
        f(8),
        2,
        2,
        2,
        2,
        false,
        false,
        Int32Array.of(0, -1),
        null,
        false,
        false,
      ),
    ).toThrow('batchA has a negative entry');
    expect(() =>
      native.adamW(
        [f(2)],
        [f(1)],
        [f(2)],
        [f(2)],
        new Float64Array(1),
        new Float64Array(1),
        new Float64Array(1),
        0.9,
        0.99,
        1e-8,
        1,
      ),
    ).toThrow('tensor 0 has 2 parameters, but gradients, m or v are shorter');
  });

  test('refuses what is not a weight, and detached memory', () => {
    for (const other of [undefined, null, {}, f(3), 7, 'weight', native])
      expect(() => native.weightInfo(other as never)).toThrow('weight must be a weight handle');
    const x = f(8);
    structuredClone(x, { transfer: [x.buffer] });
    expect(() => native.fill(x, 8, 1)).toThrow('y needs 8 elements, got 0');
  });

  test('refuses attention whose offsets, heads or tables do not fit', () => {
    const options = {
      queryOffsets: Int32Array.of(0, 2),
      keyOffsets: Int32Array.of(0, 2),
      heads: 2,
      keyValueHeads: 1,
      headSize: 2,
      scale: 1,
      causal: false,
      window: 0,
      softCap: 0,
      biasIndex: null,
      biasOrigin: 0,
      biasColumns: 0,
      extra: 0,
      dropoutRate: 0,
      dropoutKey0: 0,
      dropoutKey1: 0,
      bf16: false,
    };
    const run = (changes: object) =>
      native.attention(f(8), f(4), f(4), null, null, null, f(8), f(4), { ...options, ...changes });
    expect(() => run({})).not.toThrow();
    expect(() => run({ queryOffsets: Int32Array.of(0, 3) })).toThrow('q needs 12 elements, got 8');
    expect(() => run({ queryOffsets: Int32Array.of(0, 2, 1) })).toThrow(
      'queryOffsets[2] is less than the one before',
    );
    expect(() => run({ queryOffsets: Int32Array.of(1, 2) })).toThrow(
      'queryOffsets must start with 0',
    );
    expect(() => run({ queryOffsets: Int32Array.of(0, 1, 2) })).toThrow(
      'queryOffsets and keyOffsets must be equally long',
    );
    expect(() => run({ keyValueHeads: 3 })).toThrow('2 heads cannot share 3 key heads');
    expect(() => run({ extra: 1 })).toThrow('extraKeys must be a Float32Array, got null');
    expect(() => run({ headSize: 16_385 })).toThrow(
      'headSize must be an integer from 1 to 16384, got 16385',
    );
    expect(() => run({ scale: undefined })).toThrow('scale must be a number, got undefined');
    expect(() =>
      native.attention(f(8), f(4), f(4), f(2), null, null, f(8), f(4), {
        ...options,
        biasColumns: 1,
        biasIndex: Int32Array.of(1),
      }),
    ).toThrow('biasIndex[0] is 1, outside the 1 of the table');
  });

  test('takes no pointer before the last getter has run', () => {
    const x = f(8);
    const detach = () => structuredClone(x, { transfer: [x.buffer] });
    const offsets = Int32Array.of(0, 2);
    const options = {
      queryOffsets: offsets,
      get keyOffsets() {
        detach();
        return offsets;
      },
    };
    const others = {
      heads: 2,
      keyValueHeads: 2,
      headSize: 2,
      scale: 1,
      causal: false,
      window: 0,
      softCap: 0,
      biasIndex: null,
      biasOrigin: 0,
      biasColumns: 0,
      extra: 0,
      dropoutRate: 0,
      dropoutKey0: 0,
      dropoutKey1: 0,
      bf16: false,
    };
    expect(() =>
      native.attention(x, f(8), f(8), null, null, null, f(8), f(4), Object.assign(options, others)),
    ).toThrow('q needs 8 elements, got 0');
    const [first, second] = [f(8), f(8)];
    const list = Object.defineProperty([first, second], 1, {
      get: () => {
        structuredClone(first, { transfer: [first.buffer] });
        return second;
      },
    });
    expect(native.l2Norm(list)).toBe(0);
  });

  test('returns at once where a size is huge and their product zero', () => {
    const [many, none] = [2 ** 40, f(0)];
    native.softmax(none, none, many, 0, false);
    native.softmaxGradient(none, none, none, many, 0, true);
    native.scaleColumns(none, none, none, many, 0);
    native.sumRows(none, none, many, 0);
    native.scaleColumnsGradient(none, none, none, none, none, many, 0);
    native.binary(0, none, 1, none, 1, none, many, 0);
    native.matmul(none, none, none, many, 0, 0, 0, false, false, null, null, false, false);
    native.rope(none, none, none, Int32Array.of(0), none, 1, many, 0, 0, false, false);
    expect(() => native.weightFromBytes(new Uint8Array(0), 'f32', many, 0, false)).toThrow(
      'a weight of 1099511627776 by 0 holds nothing',
    );
  });

  test('survives arguments of any kind to any function', () => {
    const names = Object.keys(native).filter(
      (name) => !['setThreads', 'setInstructionSet', 'allocate', 'weightFromFile'].includes(name),
    ) as (keyof NativeBinding)[];
    const weight = native.weightFromBytes(new Uint8Array(24), 'f32', 2, 3, false);
    const anything = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 9 }) },
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 40 }).map(f) },
      fc.boolean(),
      fc.constant(null),
      fc.double(),
      fc.string(),
      fc.integer({ min: 0, max: 12 }).map((length) => Int32Array.from({ length }, (_, i) => i - 1)),
      fc.constant(new Uint8Array(64)),
      fc.constant(new Float64Array(3)),
      fc.constant([f(3), f(4)]),
      fc.constant(weight),
      fc.constantFrom('f32', 'bf16', 'nf4', 'int8'),
      fc.anything(),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.array(anything, { maxLength: 17 }),
        (name, args) => {
          try {
            (native[name] as (...list: unknown[]) => unknown)(...args);
          } catch (error) {
            if (name === 'weightFree') return;
            expect(error).toMatchObject({
              code: expect.stringMatching(/^PEFT_NATIVE_(ARGUMENT|MEMORY)$/),
            });
          }
        },
      ),
      { numRuns: 20_000, seed: 9, examples: [['weightInfo', []]] },
    );
    native.weightFree(weight);
  });

  test('serves two workers and the main thread at once with equal results', async () => {
    const path =
      process.env['PEFT_NATIVE_ADDON'] ??
      new URL('../build/Release/peft_native.node', import.meta.url).pathname;
    const code = `
      const { parentPort } = require('node:worker_threads');
      const native = require(${JSON.stringify(path)});
      const values = (n, s) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * s));
      const [n, rows, columns] = [96, 128, 256];
      const weight = native.weightFromBytes(new Uint8Array(values(rows * columns, 0.3).buffer), 'f32', rows, columns, false);
      const y = new Float32Array(n * rows);
      for (let i = 0; i < 60; i += 1) native.linear(weight, values(n * columns, 0.7), null, y, n, true);
      parentPort.postMessage(y);`;
    const workers = [0, 1].map(() => new Worker(code, { eval: true }));
    const results = await Promise.all(
      workers.map(async (worker) => (await once(worker, 'message'))[0] as Float32Array),
    );
    await Promise.all(workers.map((worker) => worker.terminate()));
    expect(results[1]).toEqual(results[0]);
    const values = (n: number, s: number) =>
      Float32Array.from({ length: n }, (_, i) => Math.sin(i * s));
    const weight = native.weightFromBytes(
      new Uint8Array(values(128 * 256, 0.3).buffer),
      'f32',
      128,
      256,
      false,
    );
    const y = f(96 * 128);
    native.linear(weight, values(96 * 256, 0.7), null, y, 96, true);
    native.weightFree(weight);
    expect(y).toEqual(results[0]);
  });

  test('hands out aligned memory that arrays can be laid over', () => {
    const buffer = native.allocate(1000, 1000);
    expect(buffer.byteLength).toBe(1000);
    expect(new Float32Array(buffer).fill(1)[249]).toBe(1);
    expect(native.allocate(0, 0).byteLength).toBe(0);
  });
});
