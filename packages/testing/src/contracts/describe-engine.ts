/**
 * The contract that every engine passes: products with frozen weights of every format, and each
 * kernel against its reference.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  decodeFloat32,
  embed,
  encodeBfloat16,
  encodeFloat16,
  linear,
  memorySource,
  type Engine,
  type FreezeOptions,
  type FrozenWeight,
  type TensorSource,
  type ConvertibleFormat,
} from '@peft/ops';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { checkWeight } from '../check-weight.js';
import { describeCachedRows } from './describe-cached-rows.js';
import { describeJointProducts } from './describe-joint-products.js';
import { describeKernels } from './describe-kernels.js';
import { describeStep } from './describe-step.js';
import { codedParts, quantizedParts } from '../quantized-parts.js';
import { seededTensor, seededValues } from '../seeded-tensor.js';
import { storedValues } from '../stored-values.js';
import { toBeAllclose } from '../to-be-allclose.js';

/** What of the contract an engine does not keep. */
export interface EngineContractOptions {
  /**
   * Parts of the contract that do not hold, each with the reason, which the report shows: `{
   * 'format nf4': 'no 4-bit on this chip' }`.
   */
  readonly skip?: Readonly<Record<string, string>>;
}

const FORMATS: readonly ConvertibleFormat[] = ['f32', 'f16', 'bf16', 'int8', 'nf4', 'fp4'];

/** N, in, out: one element, one row, tails of every vector width, and a size of several blocks. */
const SHAPES = [
  [1, 1, 1],
  [1, 5, 3],
  [3, 17, 33],
  [7, 64, 40],
  [33, 130, 67],
] as const;

/**
 * Declares the contract's tests. A product's error is bounded by that of a float32 (or bfloat16)
 * sum against the float64 product of the weight's stored values.
 *
 * @param createEngine called once, before the first test; the engine is disposed of after the last.
 */
export function describeEngine(
  name: string,
  createEngine: () => Engine | Promise<Engine>,
  { skip = {} }: EngineContractOptions = {},
): void {
  const part = (title: string, body: () => void) =>
    skip[title] === undefined
      ? describe(title, body)
      : describe.skip(`${title} (skipped: ${skip[title]})`, body);

  describe(`engine contract: ${name}`, () => {
    let engine: Engine;
    let tensors = 0;
    beforeAll(async () => {
      expect.extend({ toBeAllclose });
      engine = await createEngine();
      await engine.activate();
    });
    beforeEach(() => {
      tensors = tf.memory().numTensors;
      tf.engine().startScope();
    });
    afterEach(() => {
      tf.engine().endScope();
      expect(tf.memory().numTensors, 'tensors left behind').toBe(tensors);
    });
    afterAll(async () => {
      engine.dispose();
      await tf.setBackend('cpu');
    });
    const freeze = (source: TensorSource, options?: FreezeOptions): FrozenWeight =>
      engine.freeze(source, options);

    test('says what it is, and its backend is the current one once activated', () => {
      expect(engine.name).toMatch(/^[a-z]/);
      expect(engine.description.length).toBeGreaterThan(0);
      expect(['float32', 'bfloat16']).toContain(engine.precision);
      expect(tf.getBackend()).toBe(engine.backendName);
    });

    part('training steps', () => describeStep(() => engine));

    for (const format of FORMATS) {
      part(`format ${format}`, () => {
        test.each(SHAPES)(
          'products, rows and values of %i × %i → %i are those of the stored values',
          (rows, width, out) => {
            const values = seededValues(`w${width}x${out}`, width * out);
            const weight = freeze(memorySource('w', [out, width], values), { format });
            checkWeight(engine, weight, storedValues(values, out, format), rows);
            weight.dispose();
          },
        );

        test('a weight stored as [in, out] is the same weight', () => {
          const [rows, width, out] = [4, 37, 21];
          const values = seededValues('conv1d', width * out);
          const weight = freeze(memorySource('w', [width, out], transposed(values, width, out)), {
            format,
            transposed: true,
          });
          checkWeight(engine, weight, storedValues(values, out, format), rows);
          weight.dispose();
        });

        test('has its logical shape and format, and counts its bytes', () => {
          const weight = freeze(memorySource('a.weight', [64, 64], seededValues('b', 4096)), {
            format,
          });
          expect({
            name: weight.name,
            shape: [...weight.shape],
            format: weight.format,
            isDisposed: weight.isDisposed,
          }).toEqual({ name: 'a.weight', shape: [64, 64], format, isDisposed: false });
          expect(weight.engine).toBe(engine);
          const bits = { f32: 32, f16: 16, bf16: 16, int8: 8, nf4: 4, fp4: 4 }[format];
          expect(weight.byteLength).toBeGreaterThanOrEqual((4096 * bits) / 8);
          expect(weight.byteLength).toBeLessThanOrEqual((4096 * bits) / 8 + 2048);
          weight.dispose();
        });
      });
    }

    describeCachedRows();
    describeJointProducts((values, shape) => freeze(memorySource('w', shape, values)));

    for (const format of ['nf4', 'fp4'] as const) {
      part(`format ${format} with other blocks`, () => {
        test.each([
          [32, false],
          [128, true],
          [256, false],
          [64, true],
          [4096, true],
        ])('of %i, maxima quantised: %s', (blockSize, doubleQuantization) => {
          const values = seededValues('blocks', 45 * 70);
          const weight = freeze(memorySource('w', [45, 70], values), {
            format,
            blockSize,
            doubleQuantization,
          });
          checkWeight(
            engine,
            weight,
            storedValues(values, 45, format, blockSize, doubleQuantization),
            5,
          );
          weight.dispose();
        });
      });
    }

    part('quantised checkpoints', () => {
      test.each(['nf4', 'fp4', 'int8'] as const)(
        '%s parts give the values they stand for',
        (format) => {
          const values = seededValues('parts', 33 * 47);
          for (const nested of format === 'int8' ? [false] : [false, true]) {
            const parts = quantizedParts(values, 33, format, 64, nested);
            const weight = engine.freezeQuantized(parts);
            checkWeight(engine, weight, storedValues(values, 33, format, 64, nested), 6);
            weight.dispose();
          }
        },
      );

      test.each(['nf4', 'fp4', 'int8'] as const)(
        '%s parts can be read again as they were',
        (format) => {
          const values = seededValues('parts', 33 * 47);
          for (const nested of format === 'int8' ? [false] : [false, true]) {
            const parts = quantizedParts(values, 33, format, 64, nested);
            const weight = engine.freezeQuantized(parts);
            const { packed, absmax, ...read } = engine.quantizedParts(weight);
            expect(read).toEqual({
              name: parts.name,
              format,
              shape: [33, 47],
              blockSize: format === 'int8' ? undefined : 64,
            });
            expect([...packed]).toEqual([...parts.packed]);
            expect(absmax).toEqual(parts.absmax);
            weight.dispose();
          }
        },
      );

      test('a weight in another format has none', () => {
        const weight = freeze(memorySource('w', [4, 4], seededValues('w', 16)));
        expect(() => engine.quantizedParts(weight)).toThrow('has no quantised parts');
        weight.dispose();
      });

      test('parts that do not fit together are refused', () => {
        const parts = quantizedParts(seededValues('parts', 64 * 4), 64, 'nf4', 64, false);
        expect(() =>
          engine.freezeQuantized({ ...parts, packed: parts.packed.subarray(1) }),
        ).toThrow();
        expect(() => engine.freezeQuantized({ ...parts, absmax: new Float32Array(1) })).toThrow();
      });
    });

    part('formats that only checkpoints have', () => {
      test.each([
        ['int4', 33, 47, 32],
        ['int4', 64, 128, 64],
        ['int4', 67, 256, 128],
        ['mxfp4', 33, 47, 32],
        ['mxfp4', 70, 96, 32],
      ] as const)(
        '%s of %i × %i in blocks of %i: the values of its codes, or those in bfloat16',
        (format, rows, columns, blockSize) => {
          const { parts, values } = codedParts(format, rows, columns, blockSize);
          const weight = engine.freezeQuantized(parts);
          const isPacked = weight.format === format;
          const stored = isPacked ? values : storedValues(values, rows, 'bf16');
          for (const tokens of [1, 6, 40]) checkWeight(engine, weight, stored, tokens);
          if (isPacked) {
            const read = engine.quantizedParts(weight);
            expect({ ...read, zeros: read.zeros && [...read.zeros] }).toEqual({
              ...parts,
              zeros: parts.zeros && [...parts.zeros],
            });
          }
          weight.dispose();
        },
      );

      test('scales and zero points that are too few are refused', () => {
        const { parts } = codedParts('int4', 8, 64, 64);
        const freezeWith = (changed: object) => () =>
          engine.freezeQuantized({ ...parts, ...changed });
        expect(freezeWith({ zeros: parts.zeros!.subarray(1) })).toThrow();
        expect(freezeWith({ zeros: undefined })).toThrow();
        expect(freezeWith({ absmax: new Float32Array(7) })).toThrow();
      });
    });

    part('stored types', () => {
      test.each([
        ['BF16', 'bf16', (values: Float32Array) => encodeBfloat16(values)],
        ['F16', 'f16', (values: Float32Array) => encodeFloat16(values)],
        ['F64', 'f32', (values: Float32Array) => Float64Array.from(values)],
      ] as const)('%s keeps its values as %s', (dtype, format, encode) => {
        const words = encode(seededValues('stored', 6 * 10));
        const bytes = new Uint8Array(words.buffer);
        const weight = freeze({
          name: 'w',
          dtype,
          shape: [6, 10],
          byteLength: bytes.byteLength,
          read: (at = 0, length = bytes.byteLength - at) => bytes.slice(at, at + length),
        });
        expect(weight.format).toBe(format);
        checkWeight(engine, weight, decodeFloat32(bytes, dtype), 3);
        weight.dispose();
      });
    });

    part('files', () => {
      test('a weight that lies in a file, at any place, is the same as one from memory', () => {
        const folder = mkdtempSync(join(tmpdir(), 'peft-engine-'));
        try {
          const values = seededValues('file', 30 * 20);
          for (const [dtype, words] of [
            ['F32', values],
            ['BF16', encodeBfloat16(values)],
          ] as const) {
            const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
            const path = join(folder, dtype);
            writeFileSync(path, Buffer.concat([Buffer.alloc(12), bytes, Buffer.alloc(5)]));
            const read = (at = 0, length = bytes.byteLength - at) =>
              Uint8Array.from(readFileSync(path).subarray(12 + at, 12 + at + length));
            const weight = freeze({
              name: dtype,
              dtype,
              shape: [30, 20],
              byteLength: bytes.byteLength,
              file: { path, byteOffset: 12 },
              read,
            });
            checkWeight(engine, weight, decodeFloat32(bytes, dtype), 4);
            weight.dispose();
          }
        } finally {
          rmSync(folder, { recursive: true });
        }
      });
    });

    part('gradients', () => {
      test('linear gives its input and bias gradients, with a bias and a frozen weight', () => {
        const weight = freeze(memorySource('w', [5, 7], seededValues('w', 35)));
        const matrix = tf.tensor2d(seededValues('w', 35), [5, 7]);
        const inputs = [seededTensor<Tensor2D>('x', [4, 7]), seededTensor<Tensor1D>('b', [5])];
        const dy = seededTensor('dy', [4, 5]);
        const [dx, db] = tf.grads((x, b) => linear(x as Tensor2D, weight, b as Tensor1D))(
          inputs,
          dy,
        );
        const tolerance = {
          atol: 1e-5 + (engine.precision === 'bfloat16' ? 2e-2 * 5 : 0),
          rtol: 1e-4,
        };
        expect(dx!).toBeAllclose(tf.matMul(dy, matrix), tolerance);
        expect(db!).toBeAllclose(tf.sum(dy, 0), { atol: 1e-5 });
        weight.dispose();
      });
    });

    part('errors', () => {
      test('a width that does not fit, a row that does not exist and a weight that is gone are named', () => {
        const weight = freeze(memorySource('a.weight', [5, 7], seededValues('w', 35)));
        expect(() => engine.linear(tf.zeros([2, 6]), weight)).toThrow(
          expect.objectContaining({ code: 'PEFT_SHAPE_MISMATCH' }),
        );
        expect(() => engine.linearInputGradient(tf.zeros([2, 7]), weight)).toThrow(
          expect.objectContaining({ code: 'PEFT_SHAPE_MISMATCH' }),
        );
        expect(() => embed(weight, Int32Array.of(0, 5))).toThrow(
          expect.objectContaining({ code: 'PEFT_TOKEN_ID_RANGE' }),
        );
        expect(() => embed(weight, Int32Array.of(-1))).toThrow(
          expect.objectContaining({ code: 'PEFT_TOKEN_ID_RANGE' }),
        );
        weight.dispose();
        weight.dispose(); // twice is once
        expect(weight.isDisposed).toBe(true);
        expect(() => engine.linear(tf.zeros([2, 7]), weight)).toThrow(
          expect.objectContaining({ code: 'PEFT_WEIGHT_DISPOSED' }),
        );
        expect(() => freeze(memorySource('v', [4], new Float32Array(4)))).toThrow(
          expect.objectContaining({ code: 'PEFT_WEIGHT_SHAPE' }),
        );
      });
    });

    part('kernels', () => describeKernels(() => engine));
  });
}

/** `[out, in]` → `[in, out]` */
function transposed(values: Float32Array, width: number, out: number): Float32Array {
  return Float32Array.from(values, (_, n) => values[(n % out) * width + Math.floor(n / out)]!);
}
