import { expect, test } from 'vitest';
import { mix32, randomKey, randomNormal, randomUniform } from './counter-random.js';

test('mix32 is MurmurHash3’s finaliser', () => {
  // Published values of fmix32.
  expect([0, 1, 0xffffffff].map(mix32)).toEqual([0, 0x514e28b7, 0x81f16f39]);
});

test('uniform numbers are in [0, 1), even over it, and a function of key and counter', () => {
  const key = randomKey(42, 'layer.3', 17);
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 100_000; i += 1) counts[Math.floor(randomUniform(key, i) * 10)]! += 1;
  // 4 standard deviations are 380
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
  expect(randomUniform(key, 5)).toBe(randomUniform(randomKey(42, 'layer.3', 17), 5));
});

test('normal numbers have mean 0 and variance 1', () => {
  const key = randomKey('normal');
  const values = Array.from({ length: 50_000 }, (_, i) => randomNormal(key, i));
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(50_000));
  expect(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length).toBeCloseTo(1, 1);
});

test('keys differ when any part, its type or the order differs', () => {
  const keys = [
    [1, 2],
    [2, 1],
    [1, '2'],
    ['12'],
    ['1', '2'],
    [1],
    [1, 2, 0],
    [4294967296 + 1, 2],
  ].map((parts) => randomKey(...parts).join());
  expect(new Set(keys).size).toBe(keys.length);
});
