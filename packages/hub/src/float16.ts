/** float16 (IEEE 754 binary16): 1 sign, 5 exponent and 10 fraction bits. */

/** float32 to the nearest float16 words, ties to even; from 65520 on to infinity; a NaN stays one. */
export function encodeFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const words = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i += 1) {
    const word = bits[i]!;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude > 0x7f800000) words[i] = sign | 0x7e00; // NaN
    else if (magnitude >= 0x477ff000) words[i] = sign | 0x7c00; // ≥ 65520
    else if (magnitude >= 0x38800000) words[i] = sign | roundShift(magnitude - 0x38000000, 13); // normal: the exponent's bias falls from 127 to 15
    else if (magnitude >= 0x33000000) words[i] = sign | roundShift((magnitude & 0x7fffff) | 0x800000, 126 - (magnitude >>> 23)); // in units of 2⁻²⁴
    else words[i] = sign; // < 2⁻²⁵
  }
  return words;
}

/** word / 2^shift, rounded to the nearest, ties to even. */
function roundShift(word: number, shift: number): number {
  const floor = word >>> shift;
  const rest = word & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return floor + (rest > half || (rest === half && (floor & 1) === 1) ? 1 : 0);
}
