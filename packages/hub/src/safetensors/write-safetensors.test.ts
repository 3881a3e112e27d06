import { memorySource } from '@peft/ops';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCode } from '../../test/support/error-code.js';
import { fixturePath, temporaryFolder } from '../../test/support/paths.js';
import { readTensor } from '../tensor-values.js';
import { openSafetensors } from './open-safetensors.js';
import { type WritableTensor, writeSafetensors } from './write-safetensors.js';

describe('writeSafetensors', () => {
  // Files of Python's library; between them they hold F32, BF16, F16, I64, I32 and I8, several
  // dtypes in one file.
  test.each([
    'models/deberta-v2/model.safetensors',
    'models/deberta-v2/expected.safetensors',
    'models/mistral/model-00001-of-00003.safetensors',
    'quant/int8/expected.safetensors',
    'quant/int8/inputs.safetensors',
  ])('writes %s again with the same bytes, whatever the order it is given', async (name) => {
    const path = join(temporaryFolder(), 'again.safetensors');
    const store = openSafetensors(fixturePath(name));
    const tensors = store.names().map((tensor) => store.get(tensor)!);
    await writeSafetensors(path, tensors.reverse(), { metadata: store.metadata });
    store.close();
    expect(Buffer.compare(readFileSync(path), readFileSync(fixturePath(name)))).toBe(0);
  });

  test('lays out a small file as the format says', async () => {
    const path = join(temporaryFolder(), 'small.safetensors');
    await writeSafetensors(path, [
      { name: 'b', dtype: 'U8', shape: [2], data: Uint8Array.of(7, 9) },
      { name: 'a', dtype: 'F32', shape: [], data: Float32Array.of(1) },
    ]);
    const json =
      '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}';
    const padded = json.padEnd(Math.ceil(json.length / 8) * 8);
    expect(readFileSync(path).toString('latin1')).toBe(
      `${String.fromCharCode(padded.length)}\0\0\0\0\0\0\0${padded}\x00\x00\x80\x3f\x07\x09`,
    );
  });

  test('stores every dtype so that the same values come back', async () => {
    const path = join(temporaryFolder(), 'all.safetensors');
    const tensors = [
      { name: 'f64', dtype: 'F64', shape: [2], data: Float64Array.of(Math.PI, -0) },
      { name: 'f32', dtype: 'F32', shape: [1, 2], data: Float32Array.of(0.1, Infinity) },
      {
        name: 'i64',
        dtype: 'I64',
        shape: [2],
        data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n),
      },
      { name: 'i32', dtype: 'I32', shape: [2], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
      { name: 'i16', dtype: 'I16', shape: [2], data: Int16Array.of(-32768, 32767) },
      { name: 'i8', dtype: 'I8', shape: [2], data: Int8Array.of(-128, 127) },
      { name: 'u8', dtype: 'U8', shape: [2], data: Uint8Array.of(0, 255) },
      { name: 'bool', dtype: 'BOOL', shape: [2], data: Uint8Array.of(0, 1) },
      { name: '空 "x"\\', dtype: 'F16', shape: [2], data: Float32Array.of(0.5, -65504) },
      { name: '😀', dtype: 'BF16', shape: [2], data: Float32Array.of(1.5, -(2 ** 100)) },
      { name: '\uff5a', dtype: 'BF16', shape: [0, 3], data: new Uint8Array(0) },
    ] as const;
    await writeSafetensors(path, tensors, { metadata: {} });
    const store = openSafetensors(path);
    expect(store.metadata).toEqual({});
    // dtypes as in Python's library; names by UTF-8, where U+FF5A comes before U+1F600 although its
    // UTF-16 is larger
    expect(store.names()).toEqual([
      'i64',
      'f64',
      'f32',
      'i32',
      '\uff5a',
      '😀',
      '空 "x"\\',
      'i16',
      'i8',
      'u8',
      'bool',
    ]);
    for (const { name, dtype, shape, data } of tensors) {
      const read = readTensor(store.get(name)!);
      expect(read.dtype).toBe(dtype);
      expect(read.shape).toEqual(shape);
      expect([...read.values]).toEqual([...data]);
    }
    store.close();
  });

  test('asks for data when its turn comes, one tensor at a time, also from a promise', async () => {
    const events: string[] = [];
    const lazy = (name: string): WritableTensor => ({
      name,
      dtype: 'F32',
      shape: [1],
      data: () => (events.push(name), Promise.resolve(Float32Array.of(1))),
    });
    const path = join(temporaryFolder(), 'lazy.safetensors');
    const pending = writeSafetensors(path, [
      lazy('c'),
      lazy('a'),
      lazy('b'),
      memorySource('d', [2], Float32Array.of(3, 4)),
    ]);
    expect(events).toEqual([]);
    await pending;
    expect(events).toEqual(['a', 'b', 'c']);
    expect([...readTensor(openSafetensors(path).get('d')!).values]).toEqual([3, 4]);
  });

  test('leaves the old file and no other when something is wrong', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model.safetensors');
    writeFileSync(path, 'old');
    const good: WritableTensor = {
      name: 'a',
      dtype: 'F32',
      shape: [2],
      data: Float32Array.of(1, 2),
    };
    const write = (...tensors: unknown[]) =>
      errorCode(() => writeSafetensors(path, tensors as WritableTensor[]));
    expect(await write(good, good)).toBe('PEFT_SAFETENSORS_DUPLICATE');
    expect(await write({ ...good, name: '__metadata__' })).toBe('PEFT_SAFETENSORS_DUPLICATE');
    expect(await write({ ...good, shape: [3] })).toBe('PEFT_SAFETENSORS_SHAPE');
    expect(await write({ ...good, shape: [1] })).toBe('PEFT_SAFETENSORS_SHAPE');
    expect(await write({ ...good, shape: [-2] })).toBe('PEFT_SAFETENSORS_SHAPE');
    expect(await write({ ...good, dtype: 'F6_E2M3' })).toBe('PEFT_SAFETENSORS_DTYPE');
    expect(await write({ ...good, dtype: 'I32' })).toBe('PEFT_TENSOR_DTYPE');
    await expect(
      writeSafetensors(path, [
        good,
        {
          ...good,
          name: 'b',
          data: () => {
            throw new Error('lost');
          },
        },
      ]),
    ).rejects.toThrow('lost');
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });
});
