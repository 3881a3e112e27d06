import type { QuantizedSource } from '@peft/hub';
import { quantizedRows, type QuantizedParts } from '@peft/ops';
import { expect, test } from 'vitest';
import { joinedQuantized } from './joined-quantized.js';

/** A weight whose codes, scales and zero points are all different from block to block. */
function sourceOf(
  format: QuantizedParts['format'],
  rows: number,
  columns: number,
  blockSize = 32,
): QuantizedSource {
  const blocks = (rows * columns) / blockSize;
  const numbers = (count: number, step: number) =>
    Uint8Array.from({ length: count }, (_, i) => (i * step) & 255);
  const parts: QuantizedParts = {
    name: `${rows} rows`,
    format,
    shape: [rows, columns],
    packed: numbers((rows * columns) / 2, 37),
    absmax: Float32Array.from(numbers(blocks, 3)),
    zeros: format === 'int4' ? numbers(blocks, 1) : undefined,
    blockSize,
  };
  return {
    name: parts.name,
    format,
    shape: [rows, columns],
    byteLength: parts.packed.byteLength,
    read: () => parts,
  };
}

test.each(['int4', 'mxfp4'] as const)(
  'rows of two weights in %s are those of the one',
  (format) => {
    const parts = [sourceOf(format, 3, 64), sourceOf(format, 5, 64)];
    const joined = joinedQuantized('both', parts)!;
    expect([joined.name, joined.shape]).toEqual(['both', [8, 64]]);
    expect([...quantizedRows(joined.read(), 0, 8)]).toEqual(
      parts.flatMap((part) => [...quantizedRows(part.read(), 0, part.shape[0])]),
    );
  },
);

test('what cannot be put together as it is packed is left to its values', () => {
  const [narrow, wide] = [sourceOf('int4', 3, 32), sourceOf('int4', 3, 64)];
  const [other, nf4] = [sourceOf('mxfp4', 3, 64), sourceOf('nf4', 3, 64)];
  expect(joinedQuantized('both', [narrow, wide])).toBeUndefined();
  expect(joinedQuantized('both', [wide, other])).toBeUndefined();
  expect(joinedQuantized('both', [nf4, nf4])).toBeUndefined();
  expect(joinedQuantized('one', [nf4])!.read().format).toBe('nf4');
});

test('blocks of other sizes are refused', () => {
  const joined = joinedQuantized('both', [sourceOf('int4', 3, 64), sourceOf('int4', 5, 64, 64)])!;
  expect(() => joined.read()).toThrow('5 rows: its blocks of 64 do not go behind those of 3 rows');
});
