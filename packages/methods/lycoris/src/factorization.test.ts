import { expect, it } from 'vitest';
import { factorization } from './factorization.js';

// Pairs from the table of the LyCORIS paper's code.
it.each([
  [127, -1, [1, 127]],
  [128, -1, [8, 16]],
  [128, 4, [4, 32]],
  [250, -1, [10, 25]],
  [250, 4, [2, 125]],
  [250, 8, [5, 50]],
  [360, -1, [18, 20]],
  [360, 16, [15, 24]],
  [512, 8, [8, 64]],
  [1024, -1, [32, 32]],
  // as its code has them: the factor that is asked for comes first
  [8, 4, [4, 2]],
  [48, 24, [24, 2]],
])('%i by %i gives %j', (dimension, factor, pair) => {
  expect(factorization(dimension, factor)).toEqual(pair);
});
