/** The 16 values of bitsandbytes' 4-bit formats, in code order. */

export type FourBitFormat = 'nf4' | 'fp4';

/**
 * NormalFloat4 (Dettmers et al. 2023): quantiles of the normal distribution, ascending, code 7
 * being 0.
 */
export const NF4: readonly number[] = Object.freeze([
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
  0.7229568362236023, 1,
]);

/**
 * FP4: a sign bit, two exponent bits and one fraction bit, divided by 12; code 8 is a second zero.
 */
export const FP4: readonly number[] = Object.freeze(
  [0, 0.0625, 8, 12, 4, 6, 2, 3, -0, -0.0625, -8, -12, -4, -6, -2, -3].map((value) =>
    Math.fround(value / 12),
  ),
);

/** Values of the codes 0 … 15. */
export const codeBook = (format: FourBitFormat): readonly number[] =>
  format === 'nf4' ? NF4 : FP4;
