/** The 16 values of each 4-bit format, in code order. */

/** bitsandbytes' `nf4` and `fp4`; codes with zero points; OCP's 4-bit floats. */
export type FourBitFormat = 'nf4' | 'fp4' | 'int4' | 'mxfp4';

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

/** Codes stand for themselves; a block's zero point is subtracted. */
const INT4: readonly number[] = Object.freeze(Array.from({ length: 16 }, (_, code) => code));

const E2M1_MAGNITUDES = [0, 0.5, 1, 1.5, 2, 3, 4, 6] as const;

/** e2m1 (OCP Microscaling formats 1.0): a sign, two exponent bits and one fraction bit. */
const MXFP4: readonly number[] = Object.freeze([
  ...E2M1_MAGNITUDES,
  ...E2M1_MAGNITUDES.map((value) => -value),
]);

const BOOKS = Object.freeze({ nf4: NF4, fp4: FP4, int4: INT4, mxfp4: MXFP4 });

/** Values of the codes 0 … 15. */
export const codeBook = (format: FourBitFormat): readonly number[] => BOOKS[format];
