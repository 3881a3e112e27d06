import { describe, expect, it } from 'vitest';
import { seededRandom } from '../sampling/seeded-random.js';
import {
  createBatchPlan,
  createEvaluationPlan,
  restoreOrder,
  type BatchPlanOptions,
} from './batch-plan.js';
import { packBatch } from './packed-batch.js';

describe('a packed batch', () => {
  it('has the tokens of all sequences in a row, and where each begins', () => {
    const batch = packBatch([
      { inputIds: [1, 2, 3], tokenTypeIds: [0, 0, 1], label: 1, row: 7 },
      { inputIds: Int32Array.of(9), tokenTypeIds: [0], label: 0, row: 3 },
    ]);
    expect(batch).toEqual({
      inputIds: Int32Array.of(1, 2, 3, 9),
      tokenTypeIds: Int32Array.of(0, 0, 1, 0),
      offsets: Int32Array.of(0, 3, 4),
      labels: Int32Array.of(1, 0),
      rows: Int32Array.of(7, 3),
    });
  });

  it('keeps numbers to be regressed as they are', () => {
    expect(packBatch([{ inputIds: [1], label: 0.5, row: 0 }], 'float32').labels).toEqual(
      Float32Array.of(0.5),
    );
  });

  it.each([
    ['no examples', []],
    ['an example without tokens', [{ inputIds: [], row: 4 }]],
    ['segments of another length', [{ inputIds: [1], tokenTypeIds: [0, 0], row: 0 }]],
    [
      'segments for some only',
      [
        { inputIds: [1], tokenTypeIds: [0], row: 0 },
        { inputIds: [1], row: 1 },
      ],
    ],
    [
      'labels for some only',
      [
        { inputIds: [1], label: 1, row: 0 },
        { inputIds: [1], row: 1 },
      ],
    ],
  ])('refuses %s', (_, examples) => {
    expect(() => packBatch(examples)).toThrowError(
      expect.objectContaining({ code: 'PEFT_BATCH_INVALID' }),
    );
  });
});

describe('a batch plan', () => {
  const random = seededRandom(5);
  const lengths = Int32Array.from({ length: 1003 }, () => 1 + random.integer(128));
  const plan = (options: Partial<BatchPlanOptions> = {}) =>
    createBatchPlan({ lengths, batchSize: 32, microBatchSize: 4, seed: 1, epoch: 0, ...options });
  const rowsOf = (batches: ReturnType<typeof plan>) =>
    batches.map((batch) => batch.flatMap((rows) => [...rows]));

  it.each([false, true])(
    'has every row once per epoch, and 32 rows a batch (groupByLength %s)',
    (groupByLength) => {
      const batches = rowsOf(plan({ groupByLength }));
      expect(batches.map((rows) => rows.length)).toEqual([...Array<number>(31).fill(32), 11]);
      expect(batches.flat().sort((a, b) => a - b)).toEqual(
        Array.from({ length: 1003 }, (_, i) => i),
      );
    },
  );

  it('is the same for the same seed and epoch, and another for another', () => {
    for (const groupByLength of [false, true]) {
      expect(plan({ epoch: 3, groupByLength })).toEqual(plan({ epoch: 3, groupByLength }));
      expect(plan({ epoch: 3, groupByLength })).not.toEqual(plan({ epoch: 4, groupByLength }));
      expect(plan({ epoch: 3, groupByLength })).not.toEqual(
        plan({ epoch: 3, seed: 2, groupByLength }),
      );
    }
  });

  it('puts the same rows into a batch however it is cut into micro-batches', () => {
    const sorted = (batches: ReturnType<typeof plan>) =>
      rowsOf(batches).map((rows) => rows.sort((a, b) => a - b));
    expect(sorted(plan({ microBatchSize: 1 }))).toEqual(sorted(plan({ microBatchSize: 32 })));
    expect(sorted(plan({ microBatchSize: 32, maxTokensPerMicroBatch: 200 }))).toEqual(
      sorted(plan()),
    );
  });

  it('keeps micro-batches within rows and tokens; only a longer row stands alone', () => {
    for (const batch of plan({ microBatchSize: 8, maxTokensPerMicroBatch: 100 })) {
      for (const rows of batch) {
        const tokens = rows.reduce((sum, row) => sum + lengths[row]!, 0);
        expect(rows.length).toBeLessThanOrEqual(8);
        expect(tokens <= 100 || rows.length === 1).toBe(true);
      }
    }
  });

  it('groups rows of like length when asked to', () => {
    const spread = (batches: ReturnType<typeof plan>) =>
      rowsOf(batches).reduce(
        (sum, rows) =>
          sum +
          Math.max(...rows.map((row) => lengths[row]!)) -
          Math.min(...rows.map((row) => lengths[row]!)),
        0,
      ) / batches.length;
    expect(spread(plan({ groupByLength: true }))).toBeLessThan(spread(plan()) / 8);
  });

  it('refuses sizes that are none', () => {
    for (const options of [
      { batchSize: 0 },
      { microBatchSize: 1.5 },
      { maxTokensPerMicroBatch: -1 },
      { epoch: -1 },
    ]) {
      expect(() => plan(options)).toThrowError(
        expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
      );
    }
  });
});

describe('an evaluation plan', () => {
  it('sorts rows by length, and its results go back to the order of the table', () => {
    const lengths = [3, 9, 1, 9, 5];
    const plan = createEvaluationPlan({ lengths, batchSize: 2 });
    expect(plan.map((rows) => [...rows])).toEqual([[1, 3], [4, 0], [2]]);
    const results = plan.map((rows) => [...rows].flatMap((row) => [row, row + 0.5]));
    expect([...restoreOrder(plan, results, 2)]).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5]);
    expect(
      createEvaluationPlan({ lengths, batchSize: 5, maxTokensPerBatch: 14 }).map(
        (rows) => rows.length,
      ),
    ).toEqual([1, 2, 2]);
    expect(() => restoreOrder(plan, [[1], [2]])).toThrowError(
      expect.objectContaining({ code: 'PEFT_BATCH_INVALID' }),
    );
  });
});
