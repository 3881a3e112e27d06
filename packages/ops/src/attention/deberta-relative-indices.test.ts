import { expect, test } from 'vitest';
import { debertaRelativeIndices, debertaTableRows } from './deberta-relative-indices.js';

test('without buckets the row is the distance plus the span, clamped to the table', () => {
  const { contentToPositionIndex, relativeOrigin } = debertaRelativeIndices({
    positionBuckets: -1,
    maxRelativePositions: 3,
    maxLength: 6,
  });
  expect(relativeOrigin).toBe(5);
  expect([...contentToPositionIndex]).toEqual([0, 0, 0, 1, 2, 3, 4, 5, 5, 5, 5]); // distances −5 … 5
});

test(
  'with buckets small distances are exact and large ones logarithmic, up to the last ' +
    'row at the largest distance',
  () => {
    // mDeBERTa's sizes: mid = 128, so rows 256 + d up to 128, then 256 + 128 +
    // ⌈127·ln(d/128)/ln(511/128)⌉.
    const config = { positionBuckets: 256, maxRelativePositions: 512 };
    const { contentToPositionIndex: row, relativeOrigin } = debertaRelativeIndices({
      ...config,
      maxLength: 600,
    });
    expect(debertaTableRows(config)).toBe(512);
    for (const d of [0, 1, 127, 128]) expect(row[d + relativeOrigin]).toBe(256 + d);
    expect(row[129 + relativeOrigin]).toBe(
      256 + 128 + Math.ceil((127 * Math.log(129 / 128)) / Math.log(511 / 128)),
    );
    expect(row[300 + relativeOrigin]).toBe(
      256 + 128 + Math.ceil((127 * Math.log(300 / 128)) / Math.log(511 / 128)),
    );
    expect(row[511 + relativeOrigin]).toBe(511);
    expect(row[599 + relativeOrigin]).toBe(511);
    for (let d = 1; d < 256; d += 1)
      expect(row[relativeOrigin - d]! - 256).toBe(256 - row[relativeOrigin + d]!); // the bucket is odd
  },
);
