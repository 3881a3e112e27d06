/**
 * base^exponent for a whole exponent ≥ 0, rounded once: `Math.pow` is off by a last digit for 0.9⁴,
 * and group rates are compared exactly.
 */
export function integerPower(base: number, exponent: number): number {
  if (!Number.isFinite(base) || base === 0 || exponent === 0) return base ** exponent;
  const { mantissa, shift } = exactParts(Math.abs(base));
  const digits = mantissa ** BigInt(exponent);
  const sign = base < 0 && exponent % 2 === 1 ? -1 : 1;
  return sign * rounded(digits, shift * exponent);
}

/** x = mantissa · 2^shift, exactly. */
function exactParts(x: number): { mantissa: bigint; shift: number } {
  let shift = 0;
  while (!Number.isInteger(x)) {
    x *= 2;
    shift -= 1;
  }
  return { mantissa: BigInt(x), shift };
}

/** digits · 2^shift to the nearest double (ties to even), where that is a normal number. */
function rounded(digits: bigint, shift: number): number {
  const surplus = digits.toString(2).length - 53;
  if (surplus > 0) {
    const half = 1n << BigInt(surplus - 1);
    const rest = digits & ((1n << BigInt(surplus)) - 1n);
    digits >>= BigInt(surplus);
    if (rest > half || (rest === half && digits % 2n === 1n)) digits += 1n;
    shift += surplus;
  }
  // In two factors: 2^shift alone may be too small for a double while the product is not.
  const part = Math.trunc(shift / 2);
  return Number(digits) * 2 ** part * 2 ** (shift - part);
}
