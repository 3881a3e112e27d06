/**
 * Blockwise 8-bit quantisation of optimiser states: every 256 values share a float32 maximum, each
 * value is the nearest of the 256 numbers of a map. x ≈ map[code] · absmax, code = #{bounds <
 * x/absmax} with bounds halfway between neighbours of the map.
 *
 * Exactly as bitsandbytes on CPU: whole blocks are multiplied by 1/absmax in float32, a short last
 * block is divided by absmax.
 *
 * @see Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization
 */

/** Values per maximum. */
export const STATE_BLOCK = 256;

/** The least divisor, so that a block of zeros stays zeros. */
const TINY = Math.fround(1e-38);

/** Codes of values in blocks that share a maximum: value = map[code] · absmax. */
export interface BlockQuantizer {
  /** The map's 256 values. */
  readonly map: Float32Array;
  /** Codes of `values[0 … count)` into `codes` from `offset`; returns the block's absmax. */
  quantize(values: Float32Array, count: number, codes: Uint8Array, offset: number): number;
}

/** Quantises with a sorted map of 256 values. */
export function blockQuantizer(map: Float32Array): BlockQuantizer {
  const bounds = Float32Array.from(
    { length: 255 },
    (_, i) => Math.fround(map[i]! + map[i + 1]!) / 2,
  );
  const firstCode = firstCodes(bounds);
  const word = new Float32Array(1);
  const bits = new Uint32Array(word.buffer);
  return {
    map,
    quantize(values, count, codes, offset) {
      let absmax = 0;
      for (let i = 0; i < count; i += 1) {
        const size = Math.abs(values[i]!);
        if (!(size <= absmax)) absmax = size; // NaN sticks
      }
      const whole = count === STATE_BLOCK;
      const divisor = absmax < TINY ? TINY : absmax;
      const inverse = Math.fround(1 / divisor);
      for (let i = 0; i < count; i += 1) {
        const scaled = whole ? values[i]! * inverse : values[i]! / divisor;
        word[0] = Math.max(-1, Math.min(1, scaled));
        const x = word[0];
        let code = firstCode[bits[0]! >>> 16]!;
        while (code < 255 && bounds[code]! < x) code += 1;
        codes[offset + i] = code;
      }
      return whole ? absmax : divisor;
    },
  };
}

/**
 * For each upper half of a float32's bits, the code of the least such number: a short walk up from
 * there finds any code.
 */
function firstCodes(bounds: Float32Array): Uint8Array {
  const table = new Uint8Array(65536);
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  for (let upper = 0; upper < table.length; upper += 1) {
    bits[0] = ((upper << 16) | (upper >= 0x8000 ? 0xffff : 0)) >>> 0;
    let low = 0;
    let high = 255;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bounds[middle]! < value[0]!) low = middle + 1;
      else high = middle;
    }
    table[upper] = low;
  }
  return table;
}
