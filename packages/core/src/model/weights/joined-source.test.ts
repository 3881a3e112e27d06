import { memorySource } from '@peft/ops';
import { expect, test } from 'vitest';
import { joinedSource, sliceOf } from './joined-source.js';

const floats = (bytes: Uint8Array): number[] => [...new Float32Array(bytes.slice().buffer)];
const a = memorySource('a', [2, 2], Float32Array.of(1, 2, 3, 4));
const b = memorySource('b', [1, 2], Float32Array.of(5, 6));

test('tensors behind each other read as one, whole and in any piece', () => {
  const joined = joinedSource('c', [a, b]);
  expect(joined.shape).toEqual([3, 2]);
  expect(floats(joined.read())).toEqual([1, 2, 3, 4, 5, 6]);
  expect(floats(joined.read(12, 8))).toEqual([4, 5]);
  expect(floats(joined.read(16))).toEqual([5, 6]);
});

test('one tensor alone keeps its bytes and takes the name', () => {
  const alone = joinedSource('c', [a]);
  expect([alone.name, alone.shape, floats(alone.read(4, 8))]).toEqual(['c', [2, 2], [2, 3]]);
});

test('what does not fit behind another is refused', () => {
  const wide = memorySource('wide', [1, 3], Float32Array.of(1, 2, 3));
  expect(() => joinedSource('c', [a, wide])).toThrow(
    'wide: F32 [1, 3] does not go behind a, F32 [2, 2].',
  );
});

test('a slice of the first axis has its bytes alone', () => {
  const experts = memorySource('e', [3, 1, 2], Float32Array.of(1, 2, 3, 4, 5, 6));
  const second = sliceOf(experts, 1);
  expect(second.shape).toEqual([1, 2]);
  expect(floats(second.read())).toEqual([3, 4]);
  expect(floats(second.read(4, 4))).toEqual([4]);
  expect(() => sliceOf(experts, 3)).toThrow('[3, 1, 2], which has nothing at 3');
});
