/** Tables with more and fewer rows than the checkpoint has. */
import { decodeFloat32, encodeBfloat16, memorySource, type TensorSource } from '@peft/ops';
import { expect, it } from 'vitest';
import { resizedBuffer, resizedRows } from './resized-rows.js';

const [V, D] = [400, 6];
const table = Float32Array.from({ length: V * D }, (_, i) => (i % D) + Math.sin(i * 1.7) * 3);
const source = memorySource('table', [V, D], table);
const values = (resized: TensorSource): Float32Array =>
  decodeFloat32(resized.read(), resized.dtype);
const mean = Array.from({ length: D }, (_, d) => {
  let sum = 0;
  for (let row = 0; row < V; row += 1) sum += table[row * D + d]!;
  return sum / V;
});

it('the rows of the checkpoint stay, and new ones are the mean with ε of the variance', () => {
  const added = 3000;
  const grown = resizedRows(source, V + added);
  expect(grown.shape).toEqual([V + added, D]);
  expect(values(grown).subarray(0, V * D)).toEqual(table);
  const rows = values(grown).subarray(V * D);
  for (let d = 0; d < D; d += 1) {
    let variance = 0;
    for (let row = 0; row < V; row += 1) variance += (table[row * D + d]! - mean[d]!) ** 2 / V;
    // N(μ, 1e-9·σ²): σ is about 2.1, so that rounding to float32 (2⁻²² near 5) is far below
    let [sum, square] = [0, 0];
    for (let row = 0; row < added; row += 1) {
      const off = rows[row * D + d]! - mean[d]!;
      sum += off / added;
      square += off ** 2 / added;
    }
    const deviation = Math.sqrt(1e-9 * variance);
    expect(Math.abs(sum)).toBeLessThan((4 * deviation) / Math.sqrt(added));
    expect(square / deviation ** 2).toBeCloseTo(1, 0);
  }
});

it('a new row depends on its number alone, and can be read piece by piece', () => {
  const [few, many] = [resizedRows(source, V + 2), resizedRows(source, V + 9)];
  expect(values(many).slice(0, (V + 2) * D)).toEqual(values(few));
  const start = (V - 1) * D * 4;
  expect(few.read(start, 2 * D * 4)).toEqual(few.read().slice(start, start + 2 * D * 4));
  const inside = (V + 1) * D * 4 + 4;
  expect(many.read(inside, 8)).toEqual(many.read().slice(inside, inside + 8));
});

it('rows that go are the last ones, and the file can still be mapped', () => {
  const file = { path: '/nowhere', byteOffset: 8 };
  const fewer = resizedRows({ ...source, file }, 3);
  expect(fewer).toMatchObject({ shape: [3, D], byteLength: 3 * D * 4, file });
  expect(values(fewer)).toEqual(table.subarray(0, 3 * D));
  expect(resizedRows({ ...source, file }, V + 1)).not.toHaveProperty('file');
});

it('the rows of a 16-bit table are rounded to it, and a bias gets its mean', () => {
  const bytes = new Uint8Array(encodeBfloat16(table).buffer);
  const stored: TensorSource = {
    ...source,
    dtype: 'BF16',
    byteLength: bytes.length,
    read: (offset = 0, length = bytes.length - offset) => bytes.slice(offset, offset + length),
  };
  const row = values(resizedRows(stored, V + 1)).subarray(V * D);
  row.forEach((value, d) => expect(Math.abs(value - mean[d]!)).toBeLessThan(0.04)); // 2⁻⁸·8
  const bias = memorySource('bias', [4], Float32Array.of(1, 2, 3, 6));
  expect([...values(resizedRows(bias, 6))]).toEqual([1, 2, 3, 6, 3, 3]);
});

it('a buffer beside the output layer gets zeros, or loses its last values', () => {
  const buffer = memorySource('final_logits_bias', [1, 3], Float32Array.of(1, 2, 3));
  expect(resizedBuffer(buffer, 5).shape).toEqual([1, 5]);
  expect([...values(resizedBuffer(buffer, 5))]).toEqual([1, 2, 3, 0, 0]);
  expect([...values(resizedBuffer(buffer, 2))]).toEqual([1, 2]);
});

it('a table of integers cannot grow', () => {
  const ids = { ...source, dtype: 'I8' as const, byteLength: V * D, read: () => new Uint8Array(1) };
  expect(() => resizedRows(ids, V + 1).read()).toThrow(
    expect.objectContaining({ code: 'PEFT_TENSOR_DTYPE' }),
  );
});
