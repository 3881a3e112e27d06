/**
 * The 256 values of each 8-bit floating-point type (Micikevicius et al. 2022; OCP Microscaling
 * formats 1.0).
 */

/** `F8_E4M3`: finite but for NaN; `F8_E5M2`: as IEEE 754 has it; `F8_E8M0`: powers of two. */
export type Float8Dtype = 'F8_E4M3' | 'F8_E5M2' | 'F8_E8M0';

/**
 * A sign, `exponentBits` and the rest fraction: ±2^(e−bias)·(1 + f), and ±2^(1−bias)·f where the
 * exponent is 0.
 */
function signedValues(exponentBits: number, special: (code: number) => number | undefined) {
  const fractionBits = 7 - exponentBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  return Float32Array.from({ length: 256 }, (_, code) => {
    const sign = code & 128 ? -1 : 1;
    const exponent = (code & 127) >> fractionBits;
    const fraction = (code & (2 ** fractionBits - 1)) / 2 ** fractionBits;
    const found = special(code & 127);
    if (found !== undefined) return sign * found;
    return exponent === 0
      ? sign * 2 ** (1 - bias) * fraction
      : sign * 2 ** (exponent - bias) * (1 + fraction);
  });
}

const e5m2Special = (code: number): number | undefined => {
  if (code < 0x7c) return undefined;
  return code === 0x7c ? Infinity : NaN;
};

/** Values of the codes 0 … 255. */
export const FLOAT8_VALUES: Readonly<Record<Float8Dtype, Float32Array>> = Object.freeze({
  F8_E4M3: signedValues(4, (code) => (code === 0x7f ? NaN : undefined)),
  F8_E5M2: signedValues(5, e5m2Special),
  F8_E8M0: Float32Array.from({ length: 256 }, (_, code) =>
    code === 255 ? NaN : 2 ** (code - 127),
  ),
});
