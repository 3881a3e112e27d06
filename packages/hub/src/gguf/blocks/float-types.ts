/** F32, F16 and BF16: a value a block. */
import { decodeFloat32, encodeBfloat16, encodeFloat16, type StoredDtype } from '@peft/ops';
import type { BlockType } from './block-type.js';

const bytesOf = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

function floats(
  name: StoredDtype,
  id: number,
  blockBytes: number,
  encode: (values: Float32Array) => ArrayBufferView,
): BlockType {
  return Object.freeze<BlockType>({
    name,
    id,
    blockSize: 1,
    blockBytes,
    dequantize: (bytes, values) => values.set(decodeFloat32(bytes, name)),
    quantize: (values, bytes) => bytes.set(bytesOf(encode(values))),
  });
}

export const F32 = floats('F32', 0, 4, (values) => values);
export const F16 = floats('F16', 1, 2, encodeFloat16);
export const BF16 = floats('BF16', 30, 2, encodeBfloat16);
