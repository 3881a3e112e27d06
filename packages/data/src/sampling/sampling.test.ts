import { describe, expect, it } from 'vitest';
import { holdoutFraction, holdoutSplit } from './holdout-split.js';
import { permutation, sampleRows } from './permutation.js';
import { restoreRandom, seededRandom } from './seeded-random.js';

describe('the random generator', () => {
  it('is xoshiro128**, as its authors publish it', () => {
    // From the published C code by hand: s = [1, 2, 3, 4] gives rotl(2·5, 7)·9 = 11520; then s₁ =
    // 2⊕(3⊕1) = 0, and so on.
    const random = restoreRandom([1, 2, 3, 4]);
    expect([random.next(), random.next(), random.next()]).toEqual([11520, 0, 5927040]);
  });

  it('gives the same numbers for the same seed, others for another, and resumes from a saved state', () => {
    const random = seededRandom([7, 'order', 2]);
    const first = Array.from({ length: 5 }, random.next);
    const state = JSON.parse(JSON.stringify(random.save())) as [number, number, number, number];
    const second = Array.from({ length: 5 }, random.next);
    expect(Array.from({ length: 5 }, restoreRandom(state).next)).toEqual(second);
    expect(Array.from({ length: 5 }, seededRandom([7, 'order', 2]).next)).toEqual(first);
    for (const other of [
      seededRandom([7, 'order', 3]),
      seededRandom([8, 'order', 2]),
      seededRandom([7, 'orders', 2]),
    ])
      expect(other.next()).not.toBe(first[0]);
  });

  it('is uniform: mean 1/2, variance 1/12, every integer equally often', () => {
    const random = seededRandom(1);
    const draws = Array.from({ length: 20_000 }, random.uniform);
    const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 / Math.sqrt(12 * draws.length));
    expect(
      Math.abs(draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length - 1 / 12),
    ).toBeLessThan(0.003);
    const counts = new Map<number, number>();
    for (let i = 0; i < 7000; i += 1) {
      const value = random.integer(7);
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    for (const count of counts.values())
      expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(1000));
  });

  it('refuses states and seeds that are none', () => {
    expect(() => restoreRandom([0, 0, 0, 0])).toThrowError(
      expect.objectContaining({ code: 'PEFT_RANDOM_STATE_INVALID' }),
    );
    expect(() => seededRandom(0.5)).toThrowError(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
    expect(() => seededRandom(0).integer(0)).toThrowError(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
  });
});

describe('permutations and samples', () => {
  it('contain every row once, in an order that the seed decides', () => {
    const order = permutation(1000, 3);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(permutation(1000, 3)).toEqual(order);
    expect(permutation(1000, 4)).not.toEqual(order);
    expect([...permutation(0, 1)]).toEqual([]);
  });

  it('put every row everywhere equally often', () => {
    const places = [0, 0, 0, 0];
    for (let seed = 0; seed < 4000; seed += 1) places[permutation(4, seed).indexOf(2)]! += 1;
    for (const count of places) expect(Math.abs(count - 1000)).toBeLessThan(150); // 5 deviations
  });

  it('draw without replacement', () => {
    const rows = sampleRows(5000, 1000, 123);
    expect(rows).toHaveLength(1000);
    expect(new Set(rows).size).toBe(1000);
    expect(Math.max(...rows)).toBeGreaterThan(4900);
    expect(() => sampleRows(10, 11, 0)).toThrowError(
      expect.objectContaining({ code: 'PEFT_SAMPLE_TOO_LARGE' }),
    );
  });
});

describe('the holdout split', () => {
  it.each([
    [200, 0.2],
    [1000, 0.2],
    [2500, 0.2],
    [4000, 0.125],
    [5000, 0.1],
    [50_000, 0.05],
    [1_000_000, 0.01],
  ])('of %d rows takes the part %d', (rows, fraction) => {
    expect(holdoutFraction(rows)).toBe(fraction);
  });

  it('keeps the share of every class', () => {
    const classes = Int32Array.from(
      { length: 1000 },
      (_, i) => [7, 9].filter((from) => i % 10 >= from).length,
    );
    const { train, validation } = holdoutSplit(1000, { seed: 0, classes });
    expect([train.length, validation.length]).toEqual([800, 200]);
    expect(
      [0, 1, 2].map((each) => validation.filter((row) => classes[row] === each).length),
    ).toEqual([140, 40, 20]);
    expect(new Set([...train, ...validation]).size).toBe(1000);
    expect(holdoutSplit(1000, { seed: 0, classes }).validation).toEqual(validation);
    expect(holdoutSplit(1000, { seed: 1, classes }).validation).not.toEqual(validation);
  });

  it('leaves a row of every class for training', () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const classes = [0, 1, 1, 2, 2, 2, 2, 2, 2, 3];
      const { train, validation } = holdoutSplit(10, { seed, classes, fraction: 0.5 });
      expect(new Set(Array.from(train, (row) => classes[row]))).toEqual(new Set([0, 1, 2, 3]));
      expect(validation).toHaveLength(5);
    }
  });

  it('splits numbers at random', () => {
    expect(holdoutSplit(1000, { seed: 0 }).validation).toHaveLength(200);
    expect(holdoutSplit(11, { seed: 0, fraction: 0.1 }).validation).toHaveLength(2); // rounded up
  });

  it('says when nothing can be split', () => {
    expect(() => holdoutSplit(1, { seed: 0 })).toThrowError(
      expect.objectContaining({ code: 'PEFT_SPLIT_IMPOSSIBLE' }),
    );
    expect(() => holdoutSplit(2, { seed: 0, classes: [0, 1] })).toThrowError(
      expect.objectContaining({ code: 'PEFT_SPLIT_IMPOSSIBLE' }),
    );
    expect(() => holdoutSplit(9, { seed: 0, fraction: 1 })).toThrowError(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
  });
});
