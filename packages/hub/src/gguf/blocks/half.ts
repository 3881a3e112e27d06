/** float16 numbers at any place of a byte array. */
import { decodeFloat32, encodeFloat16 } from '@peft/ops';

let table: Float32Array | undefined;

/** The value of a float16 word, from a table of all 65,536 that is made when first asked for. */
export function halfAt(bytes: Uint8Array, at: number): number {
  table ??= decodeFloat32(
    new Uint8Array(Uint16Array.from({ length: 65536 }, (_, word) => word).buffer),
    'F16',
  );
  return table[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

const ONE = new Float32Array(1);

/** Writes a value rounded to the nearest float16, ties to even. @returns what was written */
export function putHalf(value: number, bytes: Uint8Array, at: number): number {
  ONE[0] = value;
  const [word] = encodeFloat16(ONE);
  bytes[at] = word! & 0xff;
  bytes[at + 1] = word! >> 8;
  return halfAt(bytes, at);
}
