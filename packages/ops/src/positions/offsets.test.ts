import { expect, test } from 'vitest';
import { checkOffsets, longestSequence, offsetsOf, positionsOf } from './offsets.js';

test('offsets, the longest sequence and positions follow from the lengths', () => {
  const offsets = offsetsOf([2, 1, 3]);
  expect([...offsets]).toEqual([0, 2, 3, 6]);
  expect(longestSequence(offsets)).toBe(3);
  expect([...positionsOf(offsets)]).toEqual([0, 1, 0, 0, 1, 2]);
  expect([...positionsOf(offsets, 2)]).toEqual([2, 3, 2, 2, 3, 4]);
});

test('offsets that are none are refused by the name of their owner', () => {
  expect(() => checkOffsets('meanPool', Int32Array.of(0, 2), 2)).not.toThrow();
  expect(() => checkOffsets('meanPool', Int32Array.of(1, 2), 2)).toThrow(
    /^meanPool: offsets \[1, 2…\] of length 2 do not start a batch/,
  );
  expect(() => checkOffsets('meanPool', Int32Array.of(0), 0)).toThrow(/do not start a batch/);
  expect(() => checkOffsets('meanPool', Int32Array.of(0, 2, 2), 2)).toThrow(
    /sequence 1 goes from row 2 to 2/,
  );
  expect(() => checkOffsets('meanPool', Int32Array.of(0, 2), 3)).toThrow(
    expect.objectContaining({ code: 'PEFT_OFFSETS_INVALID' }),
  );
});
