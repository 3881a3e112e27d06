import { expect, test } from 'vitest';
import { weightBytes } from './weight-bytes.js';

test('knows the bytes of every format', () => {
  expect(weightBytes(64, 128, { format: 'bf16' })).toBe(2 * 8192);
  expect(weightBytes(64, 128, { format: 'nf4' })).toBe(4096 + 4 * 128); // 128 blocks of 64
  expect(weightBytes(64, 128, { format: 'nf4', doubleQuantization: true })).toBe(
    4096 + 128 + 4 + 1024,
  ); // codes, their codes, one nested maximum, the table
  expect(weightBytes(64, 128, { format: 'fp4', blockSize: 256 })).toBe(4096 + 4 * 32);
  expect(weightBytes(64, 128, { format: 'int8' })).toBe(8192 + 4 * 64);
  expect(weightBytes(64, 128, { format: 'int4', blockSize: 128 })).toBe(4096 + 5 * 64);
  expect(weightBytes(64, 128, { format: 'mxfp4', blockSize: 32 })).toBe(4096 + 4 * 256);
});
