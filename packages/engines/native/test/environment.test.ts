/** Odd values of the environment variables are refused by name. */
import { describe, expect, test } from 'vitest';
import { checkThreadsVariable, useInstructionsVariable } from '../src/environment.js';
import { createNativeEngine } from '../src/index.js';
import { addon } from './addon.js';

describe('PEFT_NUM_THREADS', () => {
  test.each(['', '1', '2', '256'])('takes %j', (text) => {
    expect(() => checkThreadsVariable(text)).not.toThrow();
  });

  test.each(['0', '-1', '1.5', '257', '2 ', 'two', '1e2', '0x2', 'NaN', '99999999999999999999'])(
    'refuses %j by name',
    (text) => {
      expect(() => checkThreadsVariable(text)).toThrow(
        expect.objectContaining({
          code: 'PEFT_THREADS_INVALID',
          message: expect.stringContaining(`1 to 256, got ${JSON.stringify(text)}`) as string,
        }),
      );
    },
  );
});

describe.skipIf(!addon)('PEFT_NATIVE_ISA', () => {
  test('refuses instructions that this processor lacks, and names those that it has', () => {
    const native = addon!;
    const { instructionSet, instructionSets } = native.info();
    for (const name of ['mmx', 'AVX2', ' '])
      expect(() => useInstructionsVariable(native, name)).toThrow(
        expect.objectContaining({
          code: 'PEFT_NATIVE_ISA_UNAVAILABLE',
          message: expect.stringContaining(instructionSets.join(', ')) as string,
        }),
      );
    expect(native.info().instructionSet).toBe(instructionSet);
  });

  test('uses the ones it names', () => {
    const native = addon!;
    const { instructionSet } = native.info();
    useInstructionsVariable(native, 'portable');
    expect(native.info().instructionSet).toBe('portable');
    useInstructionsVariable(native, instructionSet);
  });

  test('threads beyond 256 are refused', () => {
    expect(() => createNativeEngine({ threads: 257 })).toThrow(
      'threads must be at most 256, got 257',
    );
  });
});
