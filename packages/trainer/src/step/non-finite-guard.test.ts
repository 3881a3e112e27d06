import { describe, expect, it } from 'vitest';
import { countNonFinite, inARow, isTooManyNonFinite, NO_NON_FINITE } from './non-finite-guard.js';

describe('the guard against NaN', () => {
  it('lets a step be left out until there were too many in a row', () => {
    const two = countNonFinite(countNonFinite(NO_NON_FINITE));
    expect(two).toEqual({ consecutive: 2, total: 2 });
    expect(isTooManyNonFinite(two, { maxConsecutive: 3 })).toBe(false);
    const three = countNonFinite(two);
    expect(isTooManyNonFinite(three, { maxConsecutive: 3 })).toBe(true);
    expect(inARow(three)).toBe(', the last of 3 such steps in a row');
  });

  it('counts anew after a good step', () => {
    expect(countNonFinite({ consecutive: 0, total: 9 })).toEqual({ consecutive: 1, total: 10 });
  });

  it('stops at the first when asked to, and never before one', () => {
    expect(isTooManyNonFinite(countNonFinite(NO_NON_FINITE), { action: 'stop' })).toBe(true);
    expect(isTooManyNonFinite(NO_NON_FINITE, { action: 'stop' })).toBe(false);
  });
});
