/** 1.5·2²³: a float32 of this size has no fraction. */
const WHOLE = 12582912;

/**
 * The nearest integer of a float32 below 2²², ties to even: adding {@link WHOLE} rounds it there,
 * as the reference does.
 */
export const nearestInt = (value: number): number => Math.fround(value + WHOLE) - WHOLE;
