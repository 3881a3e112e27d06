/**
 * bitsandbytes' dynamic 8-bit numbers: 256 sorted values in [−1, 1] (signed) or [0, 1], denser towards zero.
 *
 * For i = 0 … 6: the midpoints of linspace(0.1, 1, n + 1) times 10^(i−6), n = 2^i of each sign (signed) or 2^(i+1); plus 0 and 1.
 *
 * @see Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization, section 2
 */

/** The 256 values, ascending, float32. Signed for first moments, unsigned for second ones. */
export function dynamicMap(signed: boolean): Float32Array {
  const values: number[] = [0, 1];
  for (let i = 0; i < 7; i += 1) {
    const bounds = linspace(0.1, 1, (signed ? 2 ** i : 2 ** (i + 1)) + 1);
    const power = Math.fround(Number(`1e${i - 6}`));
    for (let k = 0; k + 1 < bounds.length; k += 1) {
      const value = Math.fround(power * Math.fround(Math.fround(bounds[k]! + bounds[k + 1]!) / 2));
      values.push(value);
      if (signed) values.push(-value);
    }
  }
  return Float32Array.from(values).sort();
}

/** Float32 steps counted from the nearer end. */
function linspace(from: number, to: number, count: number): Float32Array {
  const start = Math.fround(from);
  const step = Math.fround(Math.fround(to - start) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) => (i < count / 2 ? start + step * i : to - step * (count - 1 - i)));
}
