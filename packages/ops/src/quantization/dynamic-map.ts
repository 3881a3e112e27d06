/**
 * bitsandbytes' dynamic 8-bit numbers: 256 values in [−1, 1] (signed) or [0, 1], ascending, denser
 * towards zero (Dettmers et al. 2022). For i = 0 … 6: the midpoints of linspace(0.1, 1, n + 1)
 * times 10^(i−6), n = 2^i for each sign (signed) or 2^(i+1); plus 0 and 1.
 */
import { quantizeBlocks } from './block-quantizer.js';

const f = Math.fround;

/** The 256 values, in float32 arithmetic as PyTorch computes them. */
export function dynamicMap(signed: boolean): Float32Array {
  const values = [0, 1];
  for (let i = 0; i < 7; i += 1) {
    const bounds = linspace(2 ** (signed ? i : i + 1) + 1);
    const power = f(Number(`1e${i - 6}`));
    for (let k = 0; k + 1 < bounds.length; k += 1) {
      const value = f(power * f(f(bounds[k]! + bounds[k + 1]!) / 2));
      values.push(value);
      if (signed) values.push(-value);
    }
  }
  return Float32Array.from(values).sort();
}

/** From 0.1 to 1 in float32, counted from the nearer end. */
function linspace(count: number): Float32Array {
  const step = f(f(1 - f(0.1)) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) =>
    i < count / 2 ? f(0.1) + step * i : 1 - step * (count - 1 - i),
  );
}

/** Codes of the nearest map values, and the largest magnitude of each block. */
export function quantizeBlockwise(
  values: Float32Array,
  map: Float32Array,
  blockSize: number,
): { codes: Uint8Array; absmax: Float32Array } {
  const { places, absmax } = quantizeBlocks(values, blockSize, map);
  return { codes: places, absmax };
}

/** map[code_i]·absmax[⌊i/blockSize⌋] */
export function dequantizeBlockwise(
  codes: Uint8Array,
  absmax: Float32Array,
  map: Float32Array,
  blockSize: number,
): Float32Array {
  return Float32Array.from(codes, (code, i) => map[code]! * absmax[Math.floor(i / blockSize)]!);
}
