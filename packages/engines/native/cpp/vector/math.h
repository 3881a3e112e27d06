// Elementary functions of float32 lanes. Polynomials were fitted for the intervals named. Errors
// measured over all intervals: exp and sigmoid 2e-7 relative, log 2e-7 relative, erf 1e-7 absolute,
// tanh 3e-7 relative. NaN stays NaN. The kernels of @peft/tensorflow have the same polynomials of
// single numbers in packages/engines/tensorflow/cpp/vector-math.h; a test compares them.
#pragma once
#include <cstdint>

namespace peft::PEFT_ISA {

/** c₀ + c₁·x + … */
template <int n>
inline vf polynomial(vf x, const float (&c)[n]) {
  vf sum = set(c[n - 1]);
  for (int i = n - 2; i >= 0; i--) sum = fma(sum, x, set(c[i]));
  return sum;
}

/** 2ⁿ for −126 ≤ n ≤ 127. */
inline vf powerOfTwo(vi n) {
  return fromBits(shl<23>(n + seti(127)));
}

/** eˣ; 0 below −104, infinity above 88.73. */
inline vf exp(vf x) {
  static const float kCoefficients[] = {0.5f, 0.16666576f, 0.041666374f, 0.008363295f,
                                        0.0013941319f};  // |r| ≤ ln 2 / 2
  const vf clipped = min(set(89.0f), max(set(-105.0f), x));
  const vi n = roundToInt(clipped * set(1.44269504f));
  const vf whole = toFloat(n);
  const vf r = fma(whole, set(2.12194440e-4f), fma(whole, set(-0.693359375f), clipped));
  const vf p = fma(polynomial(r, kCoefficients), r * r, r) + set(1.0f);
  // Two factors, so that results below 2⁻¹²⁶ and above 2¹²⁷ come out right.
  const vi first = roundToInt(whole * set(0.5f));
  return select(isNaN(x), x, p * powerOfTwo(first) * powerOfTwo(n - first));
}

/** eˣ for x ≤ 0 and x not NaN; 0 below −87. */
inline vf expNegative(vf x) {
  static const float kCoefficients[] = {0.5f, 0.16666576f, 0.041666374f, 0.008363295f,
                                        0.0013941319f};
  const vf clipped = max(set(-87.3f), x);
  const vi n = roundToInt(clipped * set(1.44269504f));
  const vf whole = toFloat(n);
  const vf r = fma(whole, set(2.12194440e-4f), fma(whole, set(-0.693359375f), clipped));
  const vf p = fma(polynomial(r, kCoefficients), r * r, r) + set(1.0f);
  return select(lt(x, set(-87.3f)), zero(), p * powerOfTwo(n));
}

/** ln x; −infinity at 0, NaN below. */
inline vf log(vf x) {
  static const float kCoefficients[] = {0.3333333f,   -0.2499998f,   0.20000689f,
                                        -0.16669151f, 0.14251155f,   -0.123967074f,
                                        0.11634677f,  -0.116598874f, 0.073324375f};
  const vm small = lt(x, set(1.17549435e-38f));  // subnormal
  const vf scaled = select(small, x * set(8388608.0f), x);
  vi exponent = shr<23>(bits(scaled)) - seti(127);
  vf mantissa = fromBits((bits(scaled) & seti(0x007fffff)) | seti(0x3f800000));  // [1, 2)
  const vm large = gt(mantissa, set(1.41421356f));
  mantissa = select(large, mantissa * set(0.5f), mantissa);
  const vf e =
      toFloat(exponent) + select(large, set(1.0f), zero()) - select(small, set(23.0f), zero());
  const vf t = mantissa - set(1.0f);
  const vf t2 = t * t;
  vf result = fma(t * t2, polynomial(t, kCoefficients), e * set(-2.12194440e-4f));
  result = fma(t2, set(-0.5f), result);
  result = fma(e, set(0.693359375f), t + result);
  result = select(gt(x, set(3.4028234e38f)), x, result);
  result = select(lt(x, set(1.0e-45f)), fromBits(seti(static_cast<int32_t>(0xff800000u))), result);
  result = select(lt(x, zero()), fromBits(seti(0x7fc00000)), result);
  return select(isNaN(x), x, result);
}

/** x with the sign of y. x is not negative. */
inline vf withSign(vf x, vf y) {
  return fromBits(bits(x) | (bits(y) & seti(static_cast<int32_t>(0x80000000u))));
}

/** erfc t for t ≥ 0.9 (up to 10): exp of a polynomial. */
inline vf erfcTail(vf t) {
  static const float kCoefficients[] = {1.1285449f,     0.63565654f,   0.10520291f,
                                        -0.02261201f,   0.0028923007f, -3.606476e-05f,
                                        -4.820223e-05f, 5.1508805e-06f};
  const vf clipped = min(t, set(4.0f));
  const vf within = zero() - clipped * polynomial(clipped, kCoefficients);
  // Beyond 4, erfc t ≈ erfc 4 · e^{−(t²−16)}: below 2e-8, kept only so that it goes on falling.
  return expNegative(within - (t * t - clipped * clipped));
}

inline vf erf(vf x) {
  static const float kCoefficients[] = {0.12837915f, -0.37612495f,   0.112818025f, -0.026765566f,
                                        0.00499098f, -0.00059768936f};  // |x| ≤ 0.93
  const vf t = abs(x);
  const vf small = fma(polynomial(x * x, kCoefficients), x, x);
  const vf large = withSign(set(1.0f) - erfcTail(t), x);
  return select(lt(t, set(0.92f)), small, select(isNaN(x), x, large));
}

/** The normal distribution function Φ(x) = (1 + erf(x/√2))/2, exact in the left tail as well. */
inline vf normalCdf(vf x) {
  static const float kCoefficients[] = {0.12837915f,   -0.37612495f, 0.112818025f,
                                        -0.026765566f, 0.00499098f,  -0.00059768936f};
  const vf s = x * set(0.70710678f);
  const vf t = abs(s);
  const vf small = fma(fma(polynomial(s * s, kCoefficients), s, s), set(0.5f), set(0.5f));
  const vf tail = set(0.5f) * erfcTail(t);
  const vf large = select(lt(x, zero()), tail, set(1.0f) - tail);
  return select(lt(t, set(0.92f)), small, select(isNaN(x), x, large));
}

/** tanh x = x + x³·Q(x²) for |x| < 0.6, else 1 − 2/(e^{2|x|} + 1) with the sign of x. */
inline vf tanh(vf x) {
  static const float kCoefficients[] = {-0.3333333f, 0.13332932f, -0.053876303f, 0.021121407f,
                                        -0.006283606f};
  const vf t = abs(x), s = x * x;
  const vf small = fma(polynomial(s, kCoefficients) * s, x, x);
  const vf e = expNegative(zero() - (t + t));
  const vf large = withSign((set(1.0f) - e) / (set(1.0f) + e), x);
  return select(lt(t, set(0.6f)), small, select(isNaN(x), x, large));
}

/** 1/(1 + e^{−x}) */
inline vf sigmoid(vf x) {
  const vf e = expNegative(zero() - abs(x));
  const vf inverse = set(1.0f) / (set(1.0f) + e);
  return select(isNaN(x), x, select(lt(x, zero()), e * inverse, inverse));
}

}  // namespace peft::PEFT_ISA
