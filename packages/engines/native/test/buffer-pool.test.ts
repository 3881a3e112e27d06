import { expect, test } from 'vitest';
import { BufferPool } from '../src/buffer-pool.js';

const MEGABYTE = 2 ** 20;
const floats = (megabytes: number) => (megabytes * MEGABYTE) / 4;

function countedPool() {
  const counts = { allocated: 0, discarded: 0 };
  const source = {
    allocate: (bytes: number) => {
      counts.allocated += 1;
      return new ArrayBuffer(bytes);
    },
    discard: () => {
      counts.discarded += 1;
    },
  };
  return { pool: new BufferPool(source), counts };
}

test('a step that repeats allocates nothing after its first time, also where its halves want other sizes', () => {
  const { pool, counts } = countedPool();
  const step = () => {
    for (const megabytes of [2, 16]) {
      const arrays = Array.from({ length: 32 / megabytes }, () => pool.take(floats(megabytes)));
      for (const array of arrays) pool.give(array);
    }
  };
  step();
  const { allocated } = counts;
  for (let i = 0; i < 5; i += 1) step();
  expect(counts.allocated).toBe(allocated);
  expect(pool.usage.livingBytes).toBe(0);
});

test('living and resting memory stay within a sixteenth of the highest living total', () => {
  const { pool } = countedPool();
  const sizes = [3, 7, 12, 5, 30, 1, 18, 9];
  const living: Float32Array[] = [];
  for (let i = 0; i < 200; i += 1) {
    living.push(pool.take(floats(sizes[i % sizes.length]!)));
    if (living.length > 3) pool.give(living.shift()!);
    const { livingBytes, restingBytes, peakLivingBytes } = pool.usage;
    expect(livingBytes + restingBytes).toBeLessThanOrEqual(peakLivingBytes * (1 + 1 / 16));
  }
});

test('what rests without memory counts nothing, and clearing lets everything go', () => {
  const { pool, counts } = countedPool();
  const first = pool.take(floats(16));
  pool.give(first);
  const second = pool.take(floats(8)); // the 16 MB must go
  expect(counts.discarded).toBe(1);
  expect(pool.usage).toEqual({
    livingBytes: 8 * MEGABYTE,
    restingBytes: 0,
    peakLivingBytes: 16 * MEGABYTE,
  });
  pool.give(second);
  pool.clear();
  expect(pool.usage.restingBytes).toBe(0);
  pool.take(floats(8));
  expect(counts.allocated).toBe(3);
});

test('small blocks of many sizes do not pile up: 64 MB of them may rest beyond the highest living total', () => {
  const { pool } = countedPool();
  for (let round = 0; round < 20; round += 1) {
    // batches of other lengths: 2,000 tensors of a size of their own, 12 to 58 KB
    const living = Array.from({ length: 2000 }, () => pool.take(3_000 + 600 * round));
    const { livingBytes, restingBytes, peakLivingBytes } = pool.usage;
    expect(livingBytes + restingBytes).toBeLessThanOrEqual(
      peakLivingBytes * (1 + 1 / 16) + 64 * MEGABYTE,
    );
    for (const array of living) pool.give(array);
  }
});

test('batches of many lengths share blocks from 64 KB on and stay within the bound', () => {
  const { pool, counts } = countedPool();
  for (let round = 0; round < 60; round += 1) {
    // 800 KB, then shorter
    const living = Array.from({ length: 40 }, () => pool.take(200_000 - 2_300 * round));
    const { livingBytes, restingBytes, peakLivingBytes } = pool.usage;
    expect(livingBytes + restingBytes).toBeLessThanOrEqual(peakLivingBytes * (1 + 1 / 16));
    for (const array of living) pool.give(array);
  }
  expect(counts.allocated).toBeLessThanOrEqual(4 * 40); // classes of 1 MB, 512 KB and 256 KB
});
