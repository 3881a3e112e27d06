const FLOAT = new Float32Array(1);
const WORD = new Int32Array(FLOAT.buffer);

/**
 * The nearest integer of a float32 below 2²², ties to even: adding 1.5·2²³ leaves it in the low
 * bits.
 */
export function nearestInt(value: number): number {
  FLOAT[0] = value + 12582912;
  return (WORD[0]! & 0x007fffff) - 0x00400000;
}
