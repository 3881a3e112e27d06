/**
 * What all block formats of bitsandbytes share: each block of values is divided by its largest
 * magnitude, and the quotient is replaced by the nearest entry of a code book. As on its CPU path,
 * whole blocks are multiplied by the float32 reciprocal and a short last block is divided. The
 * slow, obvious twin of the native kernels.
 */

/** Least divisor, so that a block of zeros stays zeros. */
const TINY = Math.fround(1e-38);

/**
 * Code of each value: the place of the nearest entry of `sorted` (the lower one of two equally
 * near).
 */
export function quantizeBlocks(
  values: Float32Array,
  blockSize: number,
  sorted: readonly number[] | Float32Array,
): { places: Uint8Array; absmax: Float32Array } {
  const middles = Float32Array.from(
    { length: sorted.length - 1 },
    (_, i) => Math.fround(sorted[i]! + sorted[i + 1]!) / 2,
  );
  const places = new Uint8Array(values.length);
  const absmax = new Float32Array(Math.ceil(values.length / blockSize));
  for (let block = 0; block < absmax.length; block += 1) {
    const start = block * blockSize;
    const end = Math.min(start + blockSize, values.length);
    let largest = 0;
    // a NaN makes the block NaN
    for (let i = start; i < end; i += 1) largest = Math.max(largest, Math.abs(values[i]!));
    absmax[block] = largest;
    const divisor = Math.max(largest, TINY);
    const inverse = Math.fround(1 / divisor);
    const isWhole = end - start === blockSize;
    for (let i = start; i < end; i += 1)
      places[i] = countBelow(
        middles,
        Math.fround(isWhole ? values[i]! * inverse : values[i]! / divisor),
      );
  }
  return { places, absmax };
}

/** How many of the ascending `bounds` are below x, by bisection. */
function countBelow(bounds: Float32Array, x: number): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bounds[middle]! < x) low = middle + 1;
    else high = middle;
  }
  return low;
}
