import { describe, expect, it } from 'vitest';
import { createBatchOrder } from './training-data.js';

describe('the order of a run', () => {
  const lengths = [5, 3, 9, 1, 1, 1, 4];

  it('is the same whenever it is asked for, and another in each epoch', () => {
    const order = createBatchOrder({ lengths, batchSize: 3, seed: 1 });
    const first = order.batches(0);
    const second = order.batches(1);
    expect(createBatchOrder({ lengths, batchSize: 3, seed: 1 }).batches(0)).toEqual(first);
    expect(order.batches(0)).toEqual(first);
    expect(second).not.toEqual(first);
    for (const epoch of [first, second])
      expect(epoch.flatMap((batch) => batch.flatMap((rows) => [...rows])).sort()).toEqual([
        0, 1, 2, 3, 4, 5, 6,
      ]);
  });

  it('says what decides it, without the lengths', () => {
    expect(
      createBatchOrder({ lengths, batchSize: 3, microBatchSize: 2, seed: 1 }).settings,
    ).toEqual({ batchSize: 3, microBatchSize: 2, seed: 1 });
  });
});
