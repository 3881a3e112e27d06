/**
 * Products of few rows turn stored rows in registers, those of many unpack each row by itself: both
 * have the same bits for each way in which a weight may be quantised.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NativeBinding } from '../src/binding/native-binding.js';
import type { WeightHandle } from '../src/binding/weights.js';
import { describeEachSet, randomFloats } from './addon.js';

/** More rows than any set of instructions takes for few. */
const MANY = 70;
/** Two whole panels of any set and a part of one; two passes of bf16 pairs, in whole blocks. */
const [ROWS, COLUMNS] = [70, 1536];

interface Case {
  readonly format: 'nf4' | 'fp4' | 'int4' | 'mxfp4' | 'int8';
  readonly blockSize: number;
  readonly doubleQuantization?: boolean;
}
const CASES: readonly Case[] = [
  ...[64, 128, 256, 512].flatMap((blockSize) => [
    { format: 'nf4', blockSize } as const,
    { format: 'nf4', blockSize, doubleQuantization: true } as const,
  ]),
  { format: 'fp4', blockSize: 64 },
  { format: 'int4', blockSize: 32 },
  { format: 'int4', blockSize: 128 },
  { format: 'mxfp4', blockSize: 32 },
  { format: 'int8', blockSize: 0 },
];

describeEachSet('few rows', (native, set) => {
  beforeAll(() => native.setInstructionSet(set));
  afterAll(() => native.setThreads(0));

  for (const { format, blockSize, doubleQuantization = false } of CASES)
    for (const bf16 of [false, true])
      test(
        `of ${format} in blocks of ${blockSize}${doubleQuantization ? ', double,' : ''} with ` +
          `${bf16 ? 'bf16' : 'float32'} operands are those of many`,
        () => {
          const weight = weightOf(native, { format, blockSize, doubleQuantization });
          const x = randomFloats(MANY * COLUMNS, 1);
          const many = new Float32Array(MANY * ROWS);
          native.linear(weight, x, null, many, MANY, bf16);
          for (const count of [1, 2, 6, 7, 15, 24]) {
            const few = new Float32Array(count * ROWS);
            native.linear(weight, x, null, few, count, bf16);
            expect(few, `${count} rows`).toEqual(many.slice(0, count * ROWS));
          }
          native.weightFree(weight);
        },
      );
});

/** Every code of four bits with every scale: bytes, scales and zero points that are random. */
function weightOf(
  native: NativeBinding,
  { format, blockSize, doubleQuantization }: Required<Case>,
): WeightHandle {
  if (format === 'int4' || format === 'mxfp4') {
    const blocks = (ROWS * COLUMNS) / blockSize;
    const bytesOf = (count: number, seed: number, most: number): Uint8Array =>
      Uint8Array.from(randomFloats(count, seed), (value) => Math.floor(((value + 1) / 2) * most));
    return native.weightFromParts(
      format,
      ROWS,
      COLUMNS,
      false,
      blockSize,
      bytesOf((ROWS * COLUMNS) / 2, 2, 256),
      randomFloats(blocks, 3).map(Math.abs),
      null,
      null,
      null,
      0,
      0,
      format === 'int4' ? bytesOf(blocks, 4, 16) : null,
    );
  }
  const plain = native.weightFromBytes(
    new Uint8Array(randomFloats(ROWS * COLUMNS, 5).buffer),
    'f32',
    ROWS,
    COLUMNS,
    false,
  );
  const weight = native.weightConvert(plain, format, blockSize || 64, doubleQuantization);
  native.weightFree(plain);
  return weight;
}
