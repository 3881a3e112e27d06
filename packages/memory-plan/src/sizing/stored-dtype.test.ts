import { memorySource, type TensorSource } from '@peft/ops';
import { expect, test } from 'vitest';
import { storedDtypeOf } from './stored-dtype.js';

const store = (...sources: readonly Pick<TensorSource, 'name' | 'dtype' | 'byteLength'>[]) => {
  const named = new Map(sources.map((source) => [source.name, source]));
  return { names: () => named.keys(), get: (name: string) => named.get(name) };
};

test('most of the bytes decide, packed codes and ids count for nothing', () => {
  const norm = memorySource('norm', [4], new Float32Array(4));
  const packed = { name: 'packed', dtype: 'U8', byteLength: 1e6 } as const;
  expect(
    storedDtypeOf(store(norm, packed, { name: 'table', dtype: 'BF16', byteLength: 100 })),
  ).toBe('BF16');
  expect(storedDtypeOf(store(norm, packed))).toBe('F32');
  expect(storedDtypeOf(store(packed))).toBeUndefined();
});
