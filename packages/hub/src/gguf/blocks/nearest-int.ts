/** 1.5·2²³: a float32 of this size has no fraction. */
const WHOLE = 12582912;
/** Below it the sum has an integer in its last bits. */
const LIMIT = 4194304;

const sum = new Float32Array(1);
const bits = new Int32Array(sum.buffer);

/**
 * The nearest integer of a float32 below 2²², ties to even: adding {@link WHOLE} rounds it there, as
 * the reference does. Beyond it, and for NaN, what the reference finds in the last bits of the sum.
 */
export function nearestInt(value: number): number {
  if (Math.abs(value) < LIMIT) return Math.fround(value + WHOLE) - WHOLE;
  sum[0] = value + WHOLE;
  return (bits[0]! & 0x7fffff) - LIMIT;
}
