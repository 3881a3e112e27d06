/**
 * The bits of a row depend on no other row, nor on how many there are, nor on the threads: in
 * products of every format and precision, attention, norms and losses.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AttentionOptions } from '../src/binding/attention.js';
import type { WeightHandle } from '../src/binding/weights.js';
import { describeEachSet, randomFloats } from './addon.js';

const MOST_ROWS = 300;
/** Across the kernels' limits: lanes, tiles, few rows, blocks. */
const ROW_COUNTS = [1, 2, 3, 7, 9, 16, 17, 24, 25, 33, 64, 65, 113, 129, MOST_ROWS];
const THREADS = [1, 2];
/** More than a pass of float32, an odd number of columns. */
const WIDTH = 801;
const SHAPE = [35, WIDTH] as const;
/** And whole blocks of 4-bit values, which have a way of their own. */
const WHOLE_BLOCKS = [70, 832] as const;

const shapesOf = (format: string) => (format === 'nf4' ? [SHAPE, WHOLE_BLOCKS] : [SHAPE]);

describeEachSet('a row', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));
  afterAll(() => native.setThreads(0));

  /**
   * Runs `compute` on the last n of all rows, for each n and number of threads, and compares with the
   * rows of the whole.
   */
  function eachCount(width: number, compute: (first: number, n: number) => Float32Array): void {
    native.setThreads(2);
    const whole = compute(0, MOST_ROWS);
    for (const threads of THREADS)
      for (const n of ROW_COUNTS) {
        native.setThreads(threads);
        const rows = compute(MOST_ROWS - n, n);
        const expected = whole.subarray((MOST_ROWS - n) * width);
        const at = rows.findIndex((value, i) => !Object.is(value, expected[i]));
        expect(at, `${n} rows, ${threads} threads: first element that differs`).toBe(-1);
      }
  }

  const formats = ['f32', 'f16', 'bf16', 'int8', 'nf4'] as const;
  for (const format of formats)
    for (const bf16 of [false, true])
      test(`of a product with ${format} is the same, ${bf16 ? 'bf16' : 'float32'} operands`, () => {
        for (const [out, width] of shapesOf(format))
          for (const transposed of format === 'int8' ? [false] : [false, true]) {
            const plain = native.weightFromBytes(
              new Uint8Array(randomFloats(out * width, 1).buffer),
              'f32',
              out,
              width,
              transposed,
            );
            const weight: WeightHandle = native.weightConvert(plain, format, 64, false);
            const [x, dy, bias] = [
              randomFloats(MOST_ROWS * width, 2),
              randomFloats(MOST_ROWS * out, 3),
              randomFloats(out, 4),
            ];
            eachCount(out, (first, n) => {
              const y = new Float32Array(n * out);
              native.linear(weight, x.subarray(first * width), bias, y, n, bf16);
              return y;
            });
            eachCount(width, (first, n) => {
              const dx = new Float32Array(n * width);
              native.linearInputGradient(weight, dy.subarray(first * out), dx, n, bf16);
              return dx;
            });
            native.weightFree(plain);
            native.weightFree(weight);
          }
      });

  test('of a product of tensors is the same', () => {
    const [a, b] = [randomFloats(MOST_ROWS * WIDTH, 5), randomFloats(WIDTH * 16, 6)];
    for (const bf16 of [false, true])
      eachCount(16, (first, n) => {
        const c = new Float32Array(n * 16);
        const rows = a.subarray(first * WIDTH);
        native.matmul(rows, b, c, 1, n, 16, WIDTH, false, false, null, null, false, bf16);
        return c;
      });
  });

  test('of a norm, a softmax and a loss is the same', () => {
    const [x, gamma] = [randomFloats(MOST_ROWS * WIDTH, 7), randomFloats(WIDTH, 8)];
    const labels = Int32Array.from({ length: MOST_ROWS }, (_, i) => (i * 7) % WIDTH);
    const rowsOf = (first: number) => x.subarray(first * WIDTH);
    eachCount(WIDTH, (first, n) => {
      const y = new Float32Array(n * WIDTH);
      const [mean, inverse] = [new Float32Array(n), new Float32Array(n)];
      native.layerNorm(rowsOf(first), gamma, gamma, y, mean, inverse, n, WIDTH, 1e-5);
      return y;
    });
    eachCount(WIDTH, (first, n) => {
      const y = new Float32Array(n * WIDTH);
      native.rmsNorm(rowsOf(first), gamma, y, new Float32Array(n), n, WIDTH, 1e-5, 0);
      return y;
    });
    eachCount(WIDTH, (first, n) => {
      const y = new Float32Array(n * WIDTH);
      native.softmax(rowsOf(first), y, n, WIDTH, false);
      return y;
    });
    eachCount(1, (first, n) => {
      const loss = new Float32Array(n);
      const own = labels.subarray(first);
      native.crossEntropy(rowsOf(first), own, loss, new Float32Array(n), n, WIDTH);
      return loss;
    });
  });

  for (const bf16 of [false, true])
    test(`of attention is the same alone, in a batch and with a cache, ${bf16 ? 'bf16' : 'float32'}`, () => {
      const [heads, keyValueHeads, headSize, keys] = [6, 2, 20, MOST_ROWS];
      const [width, keyWidth] = [heads * headSize, keyValueHeads * headSize];
      const [q, k, v] = [
        randomFloats(keys * width, 9),
        randomFloats(keys * keyWidth, 10),
        randomFloats(keys * keyWidth, 11),
      ];
      const other = 70; // rows of a sequence that comes before
      const attend = (
        queries: readonly [from: number, to: number],
        seen: number,
        before: number,
        more: Partial<AttentionOptions>,
      ) => {
        const own = queries[1] - queries[0];
        const y = new Float32Array((before + own) * width);
        const join = (values: Float32Array, size: number, from: number, to: number) =>
          Float32Array.from([
            ...values.subarray(0, before * size),
            ...values.subarray(from * size, to * size),
          ]);
        native.attention(
          join(q, width, ...queries),
          join(k, keyWidth, 0, seen),
          join(v, keyWidth, 0, seen),
          null,
          null,
          null,
          y,
          new Float32Array((before + own) * heads),
          {
            queryOffsets: before ? Int32Array.of(0, before, before + own) : Int32Array.of(0, own),
            keyOffsets: before ? Int32Array.of(0, before, before + seen) : Int32Array.of(0, seen),
            heads,
            keyValueHeads,
            headSize,
            scale: 0.3,
            causal: true,
            window: 0,
            softCap: 0,
            biasIndex: null,
            biasOrigin: 0,
            biasColumns: 0,
            extra: 0,
            dropoutRate: 0,
            dropoutKey0: 0,
            dropoutKey1: 0,
            bf16,
            ...more,
          },
        );
        return y.subarray(before * width);
      };
      for (const more of [{}, { window: 40 }, { softCap: 2 }]) {
        native.setThreads(2);
        const whole = attend([0, keys], keys, 0, more);
        expect(attend([0, keys], keys, other, more)).toEqual(whole);
        for (const threads of THREADS)
          for (const n of [1, 2, 5, 64, 128, 129, 255, 256, 257, 300]) {
            native.setThreads(threads);
            const expected = whole.subarray((n - 1) * width, n * width);
            // the n-th token alone, its predecessors' keys being in the cache
            expect(attend([n - 1, n], n, 0, more), `token ${n}`).toEqual(expected);
            // the first n tokens without those that follow
            expect(attend([0, n], n, 0, more).subarray((n - 1) * width)).toEqual(expected);
          }
      }
    });
});
