import { describe, expect, it } from 'vitest';
import { splitIntoMicroBatches } from './training-data.js';

const lengths = [5, 3, 9, 1, 1, 1];

describe('splitting a batch', () => {
  it('keeps to a number of examples', () => {
    expect(splitIntoMicroBatches([0, 1, 2, 3, 4], lengths, { microBatchSize: 2 })).toEqual([[0, 1], [2, 3], [4]]);
  });

  it('keeps to a number of tokens and gives a longer example a part of its own', () => {
    expect(splitIntoMicroBatches([0, 1, 2, 3, 4, 5], lengths, { maxTokensPerMicroBatch: 8 })).toEqual([[0, 1], [2], [3, 4, 5]]);
  });

  it('keeps to both, and to the order given', () => {
    expect(splitIntoMicroBatches(Int32Array.of(5, 4, 3, 0), lengths, { microBatchSize: 2, maxTokensPerMicroBatch: 5 })).toEqual([[5, 4], [3], [0]]);
  });

  it('leaves a batch whole without limits', () => {
    expect(splitIntoMicroBatches([3, 1], lengths, {})).toEqual([[3, 1]]);
    expect(splitIntoMicroBatches([], lengths, {})).toEqual([]);
  });
});
