import { expect, test } from 'vitest';
import { blockCodes } from './block-codes.js';

const ramp = (count: number, step: number, from: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => (from + (i % 16)) * step);

test('four bits hold −8 … 7 times a scale, the even element in the low half', () => {
  const form = { columns: 32, bits: 4, scaleType: 'float32' } as const;
  const { codes, scales } = blockCodes(ramp(32, 0.5, -8), form);
  expect([...scales]).toEqual([0.5]); // the largest magnitude, −4, over −8
  const sixteen = [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe];
  expect([...codes]).toEqual([...sixteen, ...sixteen]);
  const turned = blockCodes(ramp(32, -0.5, -8), form);
  expect([...turned.scales]).toEqual([-0.5]);
  expect(turned.codes).toEqual(codes);
});

test('eight bits hold −127 … 127 times a scale, and rows are filled up with zeros', () => {
  const values = Float32Array.of(...Array.from({ length: 33 }, (_, i) => (i - 16) / 8), 1, -2);
  const { codes, scales } = blockCodes(values.subarray(0, 33), {
    columns: 33,
    bits: 8,
    scaleType: 'float32',
  });
  expect([...scales]).toEqual([2, 2].map((largest) => Math.fround(largest / 127)));
  expect(codes).toHaveLength(64);
  expect([codes[0], codes[16], codes[32], codes[33]]).toEqual([1, 128, 255, 128]);
});

test('a block of zeros has none but zeros, and scales are those that float16 holds', () => {
  const zeros = blockCodes(new Float32Array(32), { columns: 32, bits: 8, scaleType: 'float32' });
  expect(zeros.codes).toEqual(new Uint8Array(32).fill(128));
  const { scales } = blockCodes(new Float32Array(32).fill(1), {
    columns: 32,
    bits: 8,
    scaleType: 'float16',
  });
  expect(scales[0]).toBe(0.00787353515625); // 129·2⁻¹⁴, the nearest float16 to 1/127
});
