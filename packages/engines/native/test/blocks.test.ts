/** Blocks of GGUF files against the plain functions of @peft/hub, which golden bytes hold. */
import { BLOCK_TYPES as PLAIN, decodeBlocks, encodeBlocks } from '@peft/hub';
import { createNativeEngine } from '@peft/native';
import { expect, test } from 'vitest';
import { BLOCK_TYPES, type NativeBlockType } from '../src/binding/blocks.js';
import type { NativeWeight } from '../src/native-weight.js';
import { describeEachSet, randomFloats } from './addon.js';

/** Rows of 256, an odd number, of kinds that a search treats differently. */
function rows(): Float32Array {
  const kinds: ((x: number, i: number) => number)[] = [
    (x) => x,
    (x) => 0.02 * x,
    (x) => x ** 9, // few large ones
    (x) => Math.abs(x),
    (x) => -Math.abs(x),
    (x) => Math.round(3 * x) / 4,
    () => 0.25,
    () => -3,
    () => 0,
    (x, i) => (i === 100 ? 1 : 1e-12 * x), // groups beside a far larger one
    (x) => 1e-40 * x, // subnormal
    (x) => 1e38 * x, // scales beyond float16
    (x) => 1e-16 * x, // below what Q6_K takes for zero
    (x, i) => (i % 32 === 0 ? x : 0),
    (x, i) => i / 256 + 1e-3 * x,
    (x, i) => 70000 * Math.sign(x) * (i % 3),
    (x) => x + 100,
  ];
  return Float32Array.from(
    kinds.flatMap((kind, k) => [...randomFloats(256, k + 1)].map((x, i) => kind(x, i))),
  );
}

const values = rows();
const blocksOf = (type: NativeBlockType): number => values.length / PLAIN[type].blockSize;

describeEachSet('blocks', (native, set) => {
  test.each(BLOCK_TYPES.filter((type) => PLAIN[type].quantize))(
    '%s has the bytes of the plain writer, with any number of threads',
    (type) => {
      native.setInstructionSet(set);
      // more than one thread takes at a time
      const many = new Float32Array(32 * values.length);
      for (let i = 0; i < 32; i += 1) many.set(values, i * values.length);
      const expected = encodeBlocks(PLAIN[type], values);
      for (const threads of [1, 3]) {
        native.setThreads(threads);
        const bytes = new Uint8Array(32 * expected.length);
        native.encodeBlocks(type, many, bytes, 32 * blocksOf(type));
        for (let i = 0; i < 32; i += 1) {
          const own = bytes.subarray(i * expected.length, (i + 1) * expected.length);
          expect(Buffer.compare(own, expected), `copy ${i}`).toBe(0);
        }
      }
    },
  );

  test.each(BLOCK_TYPES)('%s has the values of the plain reader', (type) => {
    native.setInstructionSet(set);
    const { blockBytes, blockSize } = PLAIN[type];
    const blocks = 301;
    const bytes = new Uint8Array(randomFloats((blocks * blockBytes) / 2 + 1, 5).buffer).slice(
      0,
      blocks * blockBytes,
    );
    const read = new Float32Array(blocks * blockSize);
    native.decodeBlocks(type, bytes, read, blocks);
    // scales may be no numbers: whatever they are, bit for bit
    const plain = decodeBlocks(PLAIN[type], bytes);
    const wrong = read.findIndex((value, i) => !Object.is(value, plain[i]));
    expect(wrong, `${read[wrong]} instead of ${plain[wrong]}`).toBe(-1);
  });

  test.each(BLOCK_TYPES)('%s becomes a weight of the same values', (type) => {
    const { blockBytes, blockSize } = PLAIN[type];
    const [rows, columns] = [3, 256];
    const bytes = new Uint8Array((rows * columns * blockBytes) / blockSize).map((_, i) => i % 61);
    const weight = native.weightFromBlocks(type, bytes, rows, columns, false);
    const read = new Float32Array(rows * columns);
    native.weightDequantize(weight, read);
    native.weightFree(weight);
    expect(read).toEqual(decodeBlocks(PLAIN[type], bytes));
  });

  test('arrays that are too short, and types without a writer, are refused', () => {
    const [f, u] = [new Float32Array(256), new Uint8Array(144)];
    expect(() => native.encodeBlocks('Q4_K', f, u, 2)).toThrow('values needs 512 elements');
    expect(() => native.encodeBlocks('Q5_K', f, u, 1)).toThrow('bytes needs 176 elements');
    expect(() => native.decodeBlocks('Q4_K', u, f, 2)).toThrow('bytes needs 288 elements');
    expect(() => native.encodeBlocks('Q2_K', f, u, 1)).toThrow('type is one that is only read');
    expect(() => native.weightFromBlocks('Q4_K', u, 2, 256, false)).toThrow('bytes needs 288');
    expect(() => native.weightFromBlocks('Q4_K', u, 3, 32, false)).toThrow(
      '96 values are no whole number of blocks',
    );
  });

  test('the engine has them for those who write files', () => {
    const { blocks } = createNativeEngine({ precision: 'float32' });
    expect(blocks!.encode('Q4_K', values)).toEqual(encodeBlocks(PLAIN.Q4_K, values));
    expect(blocks!.encode('Q3_K', values)).toBeUndefined();
    expect(blocks!.encode('F16', values)).toBeUndefined();
    const bytes = encodeBlocks(PLAIN.Q6_K, values);
    expect(blocks!.decode('Q6_K', bytes)).toEqual(decodeBlocks(PLAIN.Q6_K, bytes));
  });

  test('the engine takes the blocks of a stored matrix, not its values', () => {
    const engine = createNativeEngine({ precision: 'float32' });
    const bytes = encodeBlocks(PLAIN.Q6_K, values);
    const weight = engine.freeze({
      name: 'w',
      dtype: 'F32',
      shape: [values.length / 256, 256],
      byteLength: 4 * values.length,
      blocks: { type: 'Q6_K', read: () => bytes },
      read: () => expect.unreachable('values were read'),
    });
    const read = new Float32Array(values.length);
    const { handle, engine: owner } = weight as NativeWeight;
    owner.binding.weightDequantize(handle, read);
    weight.dispose();
    expect(read).toEqual(decodeBlocks(PLAIN.Q6_K, bytes));
  });
});
