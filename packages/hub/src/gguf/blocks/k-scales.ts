/** How K blocks pack their scales. */

/**
 * Q4_K and Q5_K: eight scales and eight minima of six bits in 12 bytes. The first four of each are
 * the low six bits of bytes 0 … 3 and 4 … 7; of the others four bits are in bytes 8 … 11, scales in
 * the low half, and two in the high bits of the former.
 */
export function readScales(
  bytes: Uint8Array,
  at: number,
  scales: Uint8Array,
  minima: Uint8Array,
): void {
  for (let i = 0; i < 4; i += 1) {
    const [a, b, c] = [bytes[at + i]!, bytes[at + 4 + i]!, bytes[at + 8 + i]!];
    scales[i] = a & 63;
    minima[i] = b & 63;
    scales[i + 4] = (c & 15) | ((a >> 2) & 48);
    minima[i + 4] = (c >> 4) | ((b >> 2) & 48);
  }
}

export function writeScales(
  scales: Uint8Array,
  minima: Uint8Array,
  bytes: Uint8Array,
  at: number,
): void {
  for (let i = 0; i < 4; i += 1) {
    const [scale, minimum] = [scales[i + 4]!, minima[i + 4]!];
    bytes[at + i] = scales[i]! | ((scale >> 4) << 6);
    bytes[at + 4 + i] = minima[i]! | ((minimum >> 4) << 6);
    bytes[at + 8 + i] = (scale & 15) | ((minimum & 15) << 4);
  }
}

/** Q3_K: sixteen signed scales of six bits in 12 bytes. */
export function readSignedScales(bytes: Uint8Array, at: number, scales: Int8Array): void {
  for (let i = 0; i < 16; i += 1) {
    const low = i < 8 ? bytes[at + i]! & 15 : bytes[at + i - 8]! >> 4;
    const high = (bytes[at + 8 + (i & 3)]! >> (2 * (i >> 2))) & 3;
    scales[i] = (low | (high << 4)) - 32;
  }
}
