import { expect, it } from 'vitest';
import { numpyGenerator } from './numpy-generator.js';

// Numbers from NumPy: rng = numpy.random.default_rng(seed).
it('shuffles as NumPy does', () => {
  const values = Int32Array.from({ length: 12 }, (_, i) => i);
  numpyGenerator(9).shuffle(values);
  expect([...values]).toEqual([7, 2, 6, 10, 9, 3, 5, 11, 8, 4, 0, 1]);
});

it('draws without replacement as NumPy does, few of few and many of many', () => {
  const rng = numpyGenerator(42);
  expect([...rng.sample(64, 5)]).toEqual([47, 27, 40, 5, 63]);
  expect([...rng.sample(7, 7)]).toEqual([4, 2, 1, 6, 0, 3, 5]);
  expect([...numpyGenerator(3).sample(12000, 300).slice(0, 6)]).toEqual([
    2634, 3259, 3975, 4282, 3276, 1618,
  ]);
});
