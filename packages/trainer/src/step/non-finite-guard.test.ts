import { PeftError } from '@peft/errors';
import { describe, expect, it } from 'vitest';
import { NO_NON_FINITE, observeNonFinite } from './non-finite-guard.js';

describe('the guard against NaN', () => {
  it('lets a step be left out until there were too many in a row', () => {
    const one = observeNonFinite(NO_NON_FINITE, 1, 'the loss is NaN', { maxConsecutive: 3 });
    const two = observeNonFinite(one, 2, 'the loss is NaN', { maxConsecutive: 3 });
    expect(two).toEqual({ consecutive: 2, total: 2 });
    expect(() => observeNonFinite(two, 3, 'the loss is NaN', { maxConsecutive: 3 }))
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: trainer: the loss is NaN at step 3, the last of 3 such steps in a row.
        hint: lower the learning rate or the gradient norm, or look for extreme inputs; the last checkpoint is from before]
    `);
  });

  it('counts anew after a good step', () => {
    expect(
      observeNonFinite({ consecutive: 0, total: 9 }, 20, 'the loss is NaN', { maxConsecutive: 2 }),
    ).toEqual({ consecutive: 1, total: 10 });
  });

  it('stops at the first when asked to', () => {
    expect(() =>
      observeNonFinite(NO_NON_FINITE, 1, 'the loss is Infinity', { action: 'stop' }),
    ).toThrow(PeftError);
  });
});
