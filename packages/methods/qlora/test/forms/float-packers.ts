/** FP8 and MXFP4: the nearest value of a type in each block of values that share a scale. */
import { decodeFloat32 } from '@peft/ops';
import { bf16, bytesSource, type Packer } from './packed-checkpoint.js';

const E4M3 = decodeFloat32(
  Uint8Array.from({ length: 256 }, (_, code) => code),
  'F8_E4M3',
);
const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6].flatMap((value) => [value, -value]);
/** The code of the value in OCP's e2m1: the sign is the highest bit. */
const e2m1Code = (place: number): number => (place >> 1) | ((place & 1) << 3);

/** Place of the value that is nearest. */
function nearest(values: ArrayLike<number>, wanted: number): number {
  let best = 0;
  for (let place = 1; place < values.length; place += 1)
    if (Math.abs(values[place]! - wanted) < Math.abs(values[best]! - wanted)) best = place;
  return best;
}

const largestOf = (values: Iterable<number>): number =>
  [...values].reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);

/** A scale of each block of `side` × `side`. */
export const fp8Blocks =
  (side: number, suffix = '_scale_inv'): Packer =>
  (name, values, shape) => {
    const [rows, columns] = shape as [number, number];
    const [high, wide] = [Math.ceil(rows / side), Math.ceil(columns / side)];
    const scales = new Float32Array(high * wide);
    const blockOf = (place: number) =>
      Math.floor(place / columns / side) * wide + Math.floor((place % columns) / side);
    values.forEach((value, place) => {
      const block = blockOf(place);
      scales[block] = Math.max(scales[block]!, Math.abs(value) / 448);
    });
    const codes = Uint8Array.from(values, (value, place) =>
      nearest(E4M3, value / scales[blockOf(place)]!),
    );
    const read = Float32Array.from(codes, (code, place) => E4M3[code]! * scales[blockOf(place)]!);
    return {
      tensors: [
        bytesSource(name, 'F8_E4M3', shape, codes),
        bytesSource(`${name}${suffix}`, 'F32', [high, wide], scales),
      ],
      plain: bf16(name, shape, read),
    };
  };

/** Experts `[X, columns, rows]`, blocks of 32 along the columns. */
export const mxfp4: Packer = (name, values, shape) => {
  const [experts, columns, rows] = shape as [number, number, number];
  const groups = columns / 32;
  const read = new Float32Array(values.length);
  const bytes = new Uint8Array(values.length / 2);
  const scales = new Uint8Array(values.length / 32);
  for (let block = 0; block < scales.length; block += 1) {
    const row = Math.floor(block / groups);
    const expert = Math.floor(row / rows);
    const at = (i: number) => (expert * columns + (block % groups) * 32 + i) * rows + (row % rows);
    const own = Array.from({ length: 32 }, (_, i) => values[at(i)]!);
    const exponent = Math.ceil(Math.log2(largestOf(own) / 6));
    scales[block] = exponent + 127;
    own.forEach((value, i) => {
      const place = nearest(E2M1, value / 2 ** exponent);
      bytes[block * 16 + (i >> 1)]! |= e2m1Code(place) << (4 * (i & 1));
      read[at(i)] = E2M1[place]! * 2 ** exponent;
    });
  }
  return {
    tensors: [
      bytesSource(`${name}_blocks`, 'U8', [experts, rows, groups, 16], bytes),
      bytesSource(`${name}_scales`, 'U8', [experts, rows, groups], scales),
    ],
    plain: bf16(name, shape, read),
  };
};
