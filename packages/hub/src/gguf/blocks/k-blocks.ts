/**
 * K blocks: 256 values in groups of 16 or 32, each with a scale of few bits (and a minimum) beside
 * the block's own float16 ones. Layouts as in llama.cpp's ggml-common.h, values as gguf-py computes
 * them in float32:
 *
 *   Q2_K  16 × 16   x = (d·s)·q − (d_min·m)    s, m 4 bits, q 2 bits
 *   Q3_K  16 × 16   x = (d·s)·q                s 6 bits signed, q 3 bits signed
 *   Q4_K   8 × 32   x = (d·s)·q − (d_min·m)    s, m 6 bits, q 4 bits
 *   Q5_K   8 × 32   x = (d·s)·q − (d_min·m)    s, m 6 bits, q 5 bits
 *   Q6_K  16 × 16   x = (d·s)·q                s 8 bits signed, q 6 bits signed
 */
import { blockwise } from './block-type.js';
import { halfAt } from './half.js';
import { readScales, readSignedScales } from './k-scales.js';
import { writeQ4K, writeQ5K } from './quantize-k-offset.js';
import { writeQ6K } from './quantize-k-signed.js';

const { fround } = Math;
const SIZE = 256;

const scales = new Uint8Array(8);
const minima = new Uint8Array(8);
const signedScales = new Int8Array(16);

export const Q2_K = blockwise({
  name: 'Q2_K',
  id: 10,
  blockSize: SIZE,
  blockBytes: 16 + 64 + 4,
  read(bytes, at, values, to) {
    const [scale, low] = [halfAt(bytes, at + 80), halfAt(bytes, at + 82)];
    for (let i = 0; i < SIZE; i += 1) {
      const packed = bytes[at + (i >> 4)]!;
      const code = (bytes[at + 16 + 32 * (i >> 7) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
      values[to + i] = fround(fround(scale * (packed & 15)) * code) - fround(low * (packed >> 4));
    }
  },
});

export const Q3_K = blockwise({
  name: 'Q3_K',
  id: 11,
  blockSize: SIZE,
  blockBytes: 32 + 64 + 12 + 2,
  read(bytes, at, values, to) {
    const scale = halfAt(bytes, at + 108);
    readSignedScales(bytes, at + 96, signedScales);
    for (let i = 0; i < SIZE; i += 1) {
      const low = (bytes[at + 32 + 32 * (i >> 7) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
      const isHigh = (bytes[at + (i & 31)]! >> (i >> 5)) & 1;
      values[to + i] = fround(scale * signedScales[i >> 4]!) * (low - (isHigh ? 0 : 4));
    }
  },
});

export const Q4_K = blockwise({
  name: 'Q4_K',
  id: 12,
  blockSize: SIZE,
  blockBytes: 4 + 12 + 128,
  read(bytes, at, values, to) {
    const [scale, low] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
    readScales(bytes, at + 4, scales, minima);
    for (let group = 0; group < 8; group += 1) {
      const [d, m] = [fround(scale * scales[group]!), fround(low * minima[group]!)];
      const shift = 4 * (group & 1);
      const from = at + 16 + 32 * (group >> 1);
      for (let i = 0; i < 32; i += 1)
        values[to + 32 * group + i] = fround(d * ((bytes[from + i]! >> shift) & 15)) - m;
    }
  },
  write: writeQ4K,
});

export const Q5_K = blockwise({
  name: 'Q5_K',
  id: 13,
  blockSize: SIZE,
  blockBytes: 4 + 12 + 32 + 128,
  read(bytes, at, values, to) {
    const [scale, low] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
    readScales(bytes, at + 4, scales, minima);
    for (let group = 0; group < 8; group += 1) {
      const [d, m] = [fround(scale * scales[group]!), fround(low * minima[group]!)];
      const shift = 4 * (group & 1);
      const from = at + 48 + 32 * (group >> 1);
      for (let i = 0; i < 32; i += 1) {
        const high = (bytes[at + 16 + i]! >> group) & 1;
        const code = ((bytes[from + i]! >> shift) & 15) | (high << 4);
        values[to + 32 * group + i] = fround(d * code) - m;
      }
    }
  },
  write: writeQ5K,
});

export const Q6_K = blockwise({
  name: 'Q6_K',
  id: 14,
  blockSize: SIZE,
  blockBytes: 128 + 64 + 16 + 2,
  read(bytes, at, values, to) {
    const scale = halfAt(bytes, at + 208);
    for (let i = 0; i < SIZE; i += 1) {
      const [half, quarter] = [i >> 7, (i >> 5) & 3];
      // quarters 0 and 1 are the low halves of 64 bytes, 2 and 3 their high ones
      const low = (bytes[at + 64 * half + (i & 63)]! >> (4 * (quarter >> 1))) & 15;
      const high = (bytes[at + 128 + 32 * half + (i & 31)]! >> (2 * quarter)) & 3;
      const group = (bytes[at + 192 + (i >> 4)]! << 24) >> 24;
      values[to + i] = fround(scale * group) * ((low | (high << 4)) - 32);
    }
  },
  write: writeQ6K,
});
