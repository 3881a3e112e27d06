/** Codes that are stored as signed numbers, a byte each. */
import { partsError } from '../parts-error.js';

/** What is added to a signed number of so many bits, so that it is a code. */
export const middleOf = (bits: number): number => 2 ** (bits - 1);

/** @throws PEFT_QUANTIZED_PARTS for a number of more bits */
export function unsigned(name: string, bytes: Uint8Array, bits: number): Uint8Array {
  const [middle, codes] = [middleOf(bits), new Uint8Array(bytes.length)];
  for (let i = 0; i < codes.length; i += 1) {
    const code = ((bytes[i]! << 24) >> 24) + middle;
    if (code < 0 || code >= 2 * middle)
      throw partsError(name, `value ${i} is ${code - middle}, which is none of ${bits} bits`);
    codes[i] = code;
  }
  return codes;
}
