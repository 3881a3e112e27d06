/**
 * Writes Q6_K as llama.cpp's reference does without an importance matrix (ggml-quants.c,
 * quantize_row_q6_K_ref), every operation in float32 and in its order.
 *
 * Each group of 16 is fitted by x ≈ s·q, q = −32 … 31, with the weights x²: 1/s is moved in steps
 * of 0.1 around −32/x_max, s follows by least squares, and the best stays. The scales are then
 * rounded to eight bits, and the codes are chosen again.
 */
import { putHalf } from './half.js';
import { nearestInt } from './nearest-int.js';

const { fround } = Math;
const GROUP = 16;
const GROUPS = 16;
const MOST = 32;
/** A group whose values are smaller counts as zeros. */
const SMALLEST = fround(1e-15);
const STEP = fround(0.1);

const codes = new Uint8Array(GROUP * GROUPS);
const scales = new Float32Array(GROUPS);

export function writeQ6K(values: Float32Array, from: number, bytes: Uint8Array, at: number): void {
  let [largest, magnitude] = [0, 0];
  for (let group = 0; group < GROUPS; group += 1) {
    const scale = fitGroup(values, from + GROUP * group, GROUP * group);
    scales[group] = scale;
    if (Math.abs(scale) > magnitude) {
      magnitude = Math.abs(scale);
      largest = scale;
    }
  }
  if (magnitude < SMALLEST) {
    bytes.fill(0, at, at + 210);
    return;
  }
  const steps = fround(-128 / largest);
  const scale = putHalf(fround(1 / steps), bytes, at + 208);
  for (let group = 0; group < GROUPS; group += 1) {
    const small = Math.min(127, nearestInt(fround(steps * scales[group]!)));
    bytes[at + 192 + group] = small;
    const d = fround(scale * small);
    if (d === 0) continue;
    for (let i = GROUP * group; i < GROUP * (group + 1); i += 1)
      codes[i] = signedCode(fround(values[from + i]! / d)) + MOST;
  }
  for (let half = 0; half < 2; half += 1) {
    for (let i = 0; i < 32; i += 1) {
      const [a, b, c, d] = [0, 32, 64, 96].map((place) => codes[128 * half + place + i]!);
      bytes[at + 64 * half + i] = (a! & 15) | ((c! & 15) << 4);
      bytes[at + 64 * half + 32 + i] = (b! & 15) | ((d! & 15) << 4);
      bytes[at + 128 + 32 * half + i] =
        (a! >> 4) | ((b! >> 4) << 2) | ((c! >> 4) << 4) | ((d! >> 4) << 6);
    }
  }
}

const signedCode = (value: number): number =>
  Math.max(-MOST, Math.min(MOST - 1, nearestInt(value)));

/** @returns s; the codes are in `codes`. */
function fitGroup(values: Float32Array, from: number, to: number): number {
  let [largest, magnitude] = [0, 0];
  for (let i = 0; i < GROUP; i += 1) {
    const value = values[from + i]!;
    if (Math.abs(value) > magnitude) {
      magnitude = Math.abs(value);
      largest = value;
    }
  }
  if (magnitude < SMALLEST) {
    codes.fill(0, to, to + GROUP);
    return 0;
  }
  let inverse = fround(-MOST / largest);
  let { products, squares } = sumsOf(values, from, inverse);
  put(values, from, inverse, to);
  let scale = squares ? fround(products / squares) : 0;
  let best = fround(scale * products);
  for (let n = -9; n <= 9; n += 1) {
    if (n === 0) continue;
    inverse = fround(-fround(MOST + fround(STEP * n)) / largest);
    ({ products, squares } = sumsOf(values, from, inverse));
    if (!(squares > 0 && fround(products * products) > fround(best * squares))) continue;
    put(values, from, inverse, to);
    scale = fround(products / squares);
    best = fround(scale * products);
  }
  return scale;
}

function put(values: Float32Array, from: number, inverse: number, to: number): void {
  for (let i = 0; i < GROUP; i += 1)
    codes[to + i] = MOST + signedCode(fround(inverse * values[from + i]!));
}

const sums = { products: 0, squares: 0 };

/** Σ x²·x·q and Σ x²·q². */
function sumsOf(values: Float32Array, from: number, inverse: number): typeof sums {
  let [products, squares] = [0, 0];
  for (let i = 0; i < GROUP; i += 1) {
    const value = values[from + i]!;
    const code = signedCode(fround(inverse * value));
    const weight = fround(value * value);
    products = fround(products + fround(fround(weight * value) * code));
    squares = fround(squares + fround(fround(weight * code) * code));
  }
  sums.products = products;
  sums.squares = squares;
  return sums;
}
