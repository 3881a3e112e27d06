import { expect, test } from 'vitest';
import { relativePositionBuckets } from './relative-position-buckets.js';

test(
  'in an encoder near keys have buckets of their own, far ones share, keys after the ' +
    'query use the upper half',
  () => {
    const { index, origin } = relativePositionBuckets({ bidirectional: true });
    const bucket = (distance: number) => index[distance + origin];
    expect([0, -1, -7, 1, 7].map(bucket)).toEqual([0, 1, 7, 17, 23]);
    // 8 + ⌊ln(d/8)/ln(128/8)·8⌋ for d = 8, 12, 32, 64, 127: 8, 9, 12, 14, 15
    expect([-8, -12, -32, -64, -127, -128].map(bucket)).toEqual([8, 9, 12, 14, 15, 15]);
    expect([8, 128].map(bucket)).toEqual([24, 31]);
  },
);

test('in a decoder keys after the query share bucket 0', () => {
  const { index, origin } = relativePositionBuckets({ bidirectional: false });
  const bucket = (distance: number) => index[distance + origin];
  expect([5, 1, 0, -1, -15].map(bucket)).toEqual([0, 0, 0, 1, 15]);
  // 16 + ⌊ln(d/16)/ln(128/16)·16⌋ for d = 16, 32, 64, 127: 16, 21, 26, 31
  expect([-16, -32, -64, -127, -128].map(bucket)).toEqual([16, 21, 26, 31, 31]);
});
