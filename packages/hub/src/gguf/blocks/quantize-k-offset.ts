/**
 * Writes Q4_K and Q5_K as llama.cpp's reference does without an importance matrix (ggml-quants.c,
 * quantize_row_q4_K_ref and quantize_row_q5_K_ref), every operation in float32 and in its order.
 *
 * Each group of 32 is fitted by x ≈ s·q − m, q = 0 … Q, with the weights √(mean x²) + |x|: from
 * the range of the values, 1/s is moved in small steps, s and m follow by least squares, and the
 * best of them stays. Scales and minima of the groups are then rounded to six bits, and the codes
 * are chosen again for what became of them.
 */
import { putHalf } from './half.js';
import { writeScales } from './k-scales.js';
import { nearestInt } from './nearest-int.js';

const { fround } = Math;
const GROUP = 32;
const GROUPS = 8;

const codes = new Uint8Array(GROUP * GROUPS);
const tried = new Uint8Array(GROUP);
const weights = new Float32Array(GROUP);
const scales = new Float32Array(GROUPS);
const minima = new Float32Array(GROUPS);
const smallScales = new Uint8Array(GROUPS);
const smallMinima = new Uint8Array(GROUPS);

/** How the scale of a group is looked for. */
interface Search {
  /** Q: the largest code. */
  readonly most: number;
  /** First and further changes of Q in 1/s = Q/(max − min). */
  readonly first: number;
  readonly step: number;
  readonly steps: number;
}

const FOUR_BITS: Search = { most: 15, first: -1, step: fround(0.1), steps: 20 };
const FIVE_BITS: Search = { most: 31, first: -0.5, step: fround(0.1), steps: 15 };

export function writeQ4K(values: Float32Array, from: number, bytes: Uint8Array, at: number): void {
  quantizeGroups(values, from, FOUR_BITS, bytes, at);
  for (let pair = 0; pair < 4; pair += 1)
    for (let i = 0; i < GROUP; i += 1)
      bytes[at + 16 + GROUP * pair + i] =
        codes[64 * pair + i]! | (codes[64 * pair + GROUP + i]! << 4);
}

export function writeQ5K(values: Float32Array, from: number, bytes: Uint8Array, at: number): void {
  quantizeGroups(values, from, FIVE_BITS, bytes, at);
  bytes.fill(0, at + 16, at + 48);
  for (let pair = 0; pair < 4; pair += 1) {
    for (let i = 0; i < GROUP; i += 1) {
      const [first, second] = [codes[64 * pair + i]!, codes[64 * pair + GROUP + i]!];
      bytes[at + 16 + i]! |= ((first >> 4) << (2 * pair)) | ((second >> 4) << (2 * pair + 1));
      bytes[at + 48 + GROUP * pair + i] = (first & 15) | ((second & 15) << 4);
    }
  }
}

/** Writes the scales and leaves the codes in `codes`. */
function quantizeGroups(
  values: Float32Array,
  from: number,
  search: Search,
  bytes: Uint8Array,
  at: number,
): void {
  let [largestScale, largestMinimum] = [0, 0];
  for (let group = 0; group < GROUPS; group += 1) {
    fitGroup(values, from + GROUP * group, group, search);
    largestScale = Math.max(largestScale, scales[group]!);
    largestMinimum = Math.max(largestMinimum, minima[group]!);
  }
  const scaleSteps = largestScale > 0 ? fround(63 / largestScale) : 0;
  const minimumSteps = largestMinimum > 0 ? fround(63 / largestMinimum) : 0;
  for (let group = 0; group < GROUPS; group += 1) {
    // bytes: what lies below 0 by its rounding is more than 63
    smallScales[group] = Math.min(63, nearestInt(fround(scaleSteps * scales[group]!)) & 255);
    smallMinima[group] = Math.min(63, nearestInt(fround(minimumSteps * minima[group]!)) & 255);
  }
  writeScales(smallScales, smallMinima, bytes, at + 4);
  const scale = putHalf(fround(largestScale / 63), bytes, at);
  const minimum = putHalf(fround(largestMinimum / 63), bytes, at + 2);
  for (let group = 0; group < GROUPS; group += 1) {
    const d = fround(scale * smallScales[group]!);
    if (d === 0) continue;
    const m = fround(minimum * smallMinima[group]!);
    for (let i = 0; i < GROUP; i += 1) {
      const code = nearestInt(fround(fround(values[from + GROUP * group + i]! + m) / d));
      codes[GROUP * group + i] = Math.max(0, Math.min(search.most, code));
    }
  }
}

/** Finds s and m of a group and the codes that go with them. */
function fitGroup(
  values: Float32Array,
  from: number,
  group: number,
  { most, first, step, steps: tries }: Search,
): void {
  let squares = 0;
  for (let i = 0; i < GROUP; i += 1)
    squares = fround(squares + fround(values[from + i]! * values[from + i]!));
  const mean = fround(Math.sqrt(fround(squares / GROUP)));
  for (let i = 0; i < GROUP; i += 1) weights[i] = mean + Math.abs(values[from + i]!);

  let [low, high] = [values[from]!, values[from]!];
  let sumW = weights[0]!;
  let sumX = fround(sumW * values[from]!);
  for (let i = 1; i < GROUP; i += 1) {
    const value = values[from + i]!;
    if (value < low) low = value;
    if (value > high) high = value;
    sumW = fround(sumW + weights[i]!);
    sumX = fround(sumX + fround(weights[i]! * value));
  }
  if (low > 0) low = 0;
  if (high === low) {
    codes.fill(0, GROUP * group, GROUP * (group + 1));
    scales[group] = 0;
    minima[group] = -low;
    return;
  }
  let inverse = fround(most / fround(high - low));
  let scale = fround(1 / inverse);
  codesOf(values, from, inverse, low, most);
  codes.set(tried, GROUP * group);
  let best = errorOf(values, from, scale, low);
  let minimum = low;
  for (let n = 0; n <= tries; n += 1) {
    // from the best minimum so far
    const steps = fround(fround(first + fround(step * n)) + most);
    inverse = fround(steps / fround(high - minimum));
    const sums = codesOf(values, from, inverse, minimum, most);
    const determinant = fround(fround(sumW * sums.codes2) - fround(sums.codes * sums.codes));
    if (!(determinant > 0)) continue;
    let triedScale = fround(
      fround(fround(sumW * sums.products) - fround(sumX * sums.codes)) / determinant,
    );
    let triedMinimum = fround(
      fround(fround(sums.codes2 * sumX) - fround(sums.codes * sums.products)) / determinant,
    );
    if (triedMinimum > 0) {
      triedMinimum = 0;
      triedScale = fround(sums.products / sums.codes2);
    }
    const error = errorOf(values, from, triedScale, triedMinimum);
    if (!(error < best)) continue;
    codes.set(tried, GROUP * group);
    best = error;
    scale = triedScale;
    minimum = triedMinimum;
  }
  scales[group] = scale;
  minima[group] = -minimum;
}

/** Σ w·q, Σ w·q² and Σ w·q·x of the codes that were tried. */
const sums = { codes: 0, codes2: 0, products: 0 };

/** Puts the codes for 1/s and m into `tried`. */
function codesOf(
  values: Float32Array,
  from: number,
  inverse: number,
  low: number,
  most: number,
): typeof sums {
  let [sumCodes, sumCodes2, sumProducts] = [0, 0, 0];
  for (let i = 0; i < GROUP; i += 1) {
    const value = values[from + i]!;
    const nearest = nearestInt(fround(inverse * fround(value - low)));
    const code = Math.max(0, Math.min(most, nearest));
    tried[i] = code;
    const weighted = fround(weights[i]! * code);
    sumCodes = fround(sumCodes + weighted);
    sumCodes2 = fround(sumCodes2 + fround(weighted * code));
    sumProducts = fround(sumProducts + fround(weighted * value));
  }
  sums.codes = sumCodes;
  sums.codes2 = sumCodes2;
  sums.products = sumProducts;
  return sums;
}

/** Σ w·(s·q + m − x)² */
function errorOf(values: Float32Array, from: number, scale: number, low: number): number {
  let error = 0;
  for (let i = 0; i < GROUP; i += 1) {
    const difference = fround(fround(fround(scale * tried[i]!) + low) - values[from + i]!);
    error = fround(error + fround(weights[i]! * fround(difference * difference)));
  }
  return error;
}
