import { describe, expect, test } from 'vitest';
import { PeftError } from './peft-error.js';
import { withinTime } from './within-time.js';

const refuse = () => new PeftError('PEFT_TEST_SLOW', 'test: it took over 100 ms.');

describe('withinTime', () => {
  test('returns what the work returns and throws what it throws', () => {
    expect(withinTime(1000, () => /b/.exec('abc')!.index, refuse)).toBe(1);
    const error = new TypeError('of its own');
    const fail = () => {
      throw error;
    };
    expect(() => withinTime(1000, fail, refuse)).toThrow(error);
  });

  test.each([
    ['a regular expression that backtracks', () => /^(.+)+X$/.test('a'.repeat(60))],
    [
      'an endless loop',
      () => {
        for (let i = 0; i >= 0; i += 0);
        return true;
      },
    ],
  ])('ends %s', (_, work) => {
    const start = performance.now();
    expect(() => withinTime(100, work, refuse)).toThrow('over 100 ms');
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test('ends the inner of two without the outer', () => {
    const inner = () => {
      try {
        return withinTime(50, () => /^(.+)+X$/.test('a'.repeat(60)), refuse);
      } catch (error) {
        return (error as PeftError).code;
      }
    };
    expect(withinTime(10_000, inner, refuse)).toBe('PEFT_TEST_SLOW');
  });
});
