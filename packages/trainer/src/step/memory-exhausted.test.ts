import { PeftError } from '@peft/errors';
import { expect, test } from 'vitest';
import { namedMemoryError } from './memory-exhausted.js';

test('a failed allocation is named, whoever says so, with the checkpoint to go on from', () => {
  const native = Object.assign(new Error('native: there is not enough memory.'), {
    code: 'PEFT_NATIVE_MEMORY',
  });
  expect(namedMemoryError(native, 12)).toMatchObject({
    code: 'PEFT_MEMORY_EXHAUSTED',
    message: expect.stringContaining('native: there is not enough memory.'),
    hint: expect.stringContaining('the checkpoint of step 12 is whole'),
    cause: native,
  });
  const card = new PeftError(
    'PEFT_DEVICE_MEMORY',
    'tensorflow: the device has no memory left for MatMul: OOM',
    { hint: 'use smaller batches' },
  );
  expect(namedMemoryError(card, 3)).toMatchObject({
    code: 'PEFT_MEMORY_EXHAUSTED',
    message: expect.stringMatching(
      /ran out \(tensorflow: the device has no memory left for MatMul: OOM\)\.\n/,
    ),
    cause: card,
  });
  expect(
    namedMemoryError(new RangeError('Array buffer allocation failed'), undefined),
  ).toMatchObject({
    code: 'PEFT_MEMORY_EXHAUSTED',
    hint: expect.stringContaining('no checkpoint had been saved yet'),
  });
});

test('other errors stay what they are', () => {
  for (const error of [
    new RangeError('Invalid array length'),
    new TypeError('x is undefined'),
    'thrown text',
  ])
    expect(namedMemoryError(error, 1)).toBe(error);
});
