/**
 * Blocks of 32 values with one scale d (and one minimum m), float16 both:
 *
 *   Q8_0   d = max|x| / 127            q = round(x/d)                x = d·q
 *   Q4_0   d = x_max / −8              q = ⌊x/d + 8.5⌋ in 0 … 15      x = d·(q − 8)
 *   Q5_0   d = x_max / −16             q = ⌊x/d + 16.5⌋ in 0 … 31     x = d·(q − 16)
 *   Q4_1   d = (max − min) / 15        q = ⌊(x − m)/d + ½⌋            x = d·q + m
 *   Q5_1   d = (max − min) / 31        q = ⌊(x − m)/d + ½⌋            x = d·q + m
 *
 * x_max is the value of the largest magnitude, with its sign. The low four bits of value i are in
 * the low half of byte i, of value i + 16 in its high half; the fifth bits stand together.
 *
 * Bytes and values are those of gguf-py's quants.py: every operation in float32, divisions by
 * multiplying with 1/d.
 */
import { blockwise, type BlockType } from './block-type.js';
import { halfAt, putHalf } from './half.js';

const { fround } = Math;
const SIZE = 32;
const HALF = 16;

/** Half away from zero. */
const roundAway = (value: number): number =>
  value < 0 ? -Math.floor(0.5 - value) : Math.floor(value + 0.5);

export const Q8_0 = blockwise({
  name: 'Q8_0',
  id: 8,
  blockSize: SIZE,
  blockBytes: 2 + SIZE,
  read(bytes, at, values, to) {
    const scale = halfAt(bytes, at);
    for (let i = 0; i < SIZE; i += 1) values[to + i] = scale * ((bytes[at + 2 + i]! << 24) >> 24);
  },
  write(values, from, bytes, at) {
    let most = 0;
    for (let i = 0; i < SIZE; i += 1) most = Math.max(most, Math.abs(values[from + i]!));
    const scale = fround(most / 127);
    const inverse = scale === 0 ? 0 : fround(1 / scale);
    putHalf(scale, bytes, at);
    for (let i = 0; i < SIZE; i += 1)
      bytes[at + 2 + i] = roundAway(fround(values[from + i]! * inverse));
  },
});

/** Codes of the block that is written. */
const codes = new Uint8Array(SIZE);

function putNibbles(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < HALF; i += 1)
    bytes[at + i] = (codes[i]! & 15) | ((codes[i + HALF]! & 15) << 4);
}

function putFifthBits(bytes: Uint8Array, at: number): void {
  bytes.fill(0, at, at + 4);
  for (let i = 0; i < SIZE; i += 1) bytes[at + (i >> 3)]! |= (codes[i]! >> 4) << (i & 7);
}

/** @param bits where the fifth bits stand; undefined for four bits. */
function codeAt(bytes: Uint8Array, at: number, i: number, bits?: number): number {
  const low = i < HALF ? bytes[at + i]! & 15 : bytes[at + i - HALF]! >> 4;
  return bits === undefined ? low : low | (((bytes[bits + (i >> 3)]! >> (i & 7)) & 1) << 4);
}

/** d = x_max / −levels, codes around `levels`. @returns d */
function symmetricCodes(values: Float32Array, from: number, levels: number): number {
  let largest = values[from]!;
  for (let i = 1; i < SIZE; i += 1) {
    const value = values[from + i]!;
    if (Math.abs(value) > Math.abs(largest)) largest = value;
  }
  const scale = fround(largest / -levels);
  const inverse = scale === 0 ? 0 : fround(1 / scale);
  for (let i = 0; i < SIZE; i += 1) {
    const place = fround(fround(values[from + i]! * inverse) + levels + 0.5);
    codes[i] = Math.min(2 * levels - 1, Math.trunc(place));
  }
  return scale;
}

/** d = (max − min) / most. @returns d and m */
function offsetCodes(values: Float32Array, from: number, most: number): readonly [number, number] {
  let [low, high] = [values[from]!, values[from]!];
  for (let i = 1; i < SIZE; i += 1) {
    low = Math.min(low, values[from + i]!);
    high = Math.max(high, values[from + i]!);
  }
  const scale = fround(fround(high - low) / most);
  const inverse = scale === 0 ? 0 : fround(1 / scale);
  for (let i = 0; i < SIZE; i += 1) {
    const place = fround(fround(fround(values[from + i]! - low) * inverse) + 0.5);
    codes[i] = Math.min(most, Math.trunc(place));
  }
  return [scale, low];
}

interface CodesType {
  readonly name: string;
  readonly id: number;
  readonly bits: 4 | 5;
}

/** Where a block has its fifth bits and its low ones, behind the scales. */
const placesOf = (bits: 4 | 5, scaleBytes: number) => ({
  fifth: bits === 5 ? scaleBytes : undefined,
  low: scaleBytes + (bits === 5 ? 4 : 0),
});

function putCodes(bytes: Uint8Array, at: number, places: ReturnType<typeof placesOf>): void {
  if (places.fifth !== undefined) putFifthBits(bytes, at + places.fifth);
  putNibbles(bytes, at + places.low);
}

/** x = d·(q − 2^(bits − 1)). */
function symmetric({ name, id, bits }: CodesType): BlockType {
  const levels = 2 ** (bits - 1);
  const places = placesOf(bits, 2);
  const { fifth, low } = places;
  return blockwise({
    name,
    id,
    blockSize: SIZE,
    blockBytes: low + HALF,
    read(bytes, at, values, to) {
      const scale = halfAt(bytes, at);
      const high = fifth === undefined ? undefined : at + fifth;
      for (let i = 0; i < SIZE; i += 1)
        values[to + i] = scale * (codeAt(bytes, at + low, i, high) - levels);
    },
    write(values, from, bytes, at) {
      putHalf(symmetricCodes(values, from, levels), bytes, at);
      putCodes(bytes, at, places);
    },
  });
}

/** x = d·q + m. */
function offset({ name, id, bits }: CodesType): BlockType {
  const places = placesOf(bits, 4);
  const { fifth, low } = places;
  return blockwise({
    name,
    id,
    blockSize: SIZE,
    blockBytes: low + HALF,
    read(bytes, at, values, to) {
      const [scale, least] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
      const high = fifth === undefined ? undefined : at + fifth;
      for (let i = 0; i < SIZE; i += 1)
        values[to + i] = fround(scale * codeAt(bytes, at + low, i, high)) + least;
    },
    write(values, from, bytes, at) {
      const [scale, least] = offsetCodes(values, from, 2 ** bits - 1);
      putHalf(scale, bytes, at);
      putHalf(least, bytes, at + 2);
      putCodes(bytes, at, places);
    },
  });
}

export const Q4_0 = symmetric({ name: 'Q4_0', id: 2, bits: 4 });
export const Q4_1 = offset({ name: 'Q4_1', id: 3, bits: 4 });
export const Q5_0 = symmetric({ name: 'Q5_0', id: 6, bits: 5 });
export const Q5_1 = offset({ name: 'Q5_1', id: 7, bits: 5 });
