// Elementary functions in a form that compilers turn into vector instructions: no branches, no
// calls. Polynomials were fitted for the intervals named; relative errors stay near 2e-7, erf's
// absolute error near 1e-7. NaN stays NaN. The kernels of @peft/native have the same polynomials
// over vectors in packages/engines/native/cpp/vector/math.h; a test there compares them.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

// One copy of a loop for each generation of x86-64 vectors, chosen when the library is loaded;
// elsewhere the compiler's target.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    __GNUC__ >= 12
#define PEFT_VECTORISED \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PEFT_VECTORISED
#endif
#define PEFT_ALWAYS __attribute__((always_inline))
#define PEFT_INLINE inline PEFT_ALWAYS

namespace peft {

PEFT_INLINE float fromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

PEFT_INLINE uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

/** c₀ + c₁·x + … */
template <int n>
PEFT_INLINE float polynomial(float x, const float (&c)[n]) {
  float sum = c[n - 1];
  for (int i = n - 2; i >= 0; i--) sum = sum * x + c[i];
  return sum;
}

/** eˣ for x ≤ 0; 0 below −87. */
PEFT_INLINE float expNegative(float x) {
  constexpr float kCoefficients[] = {0.5f, 0.16666576f, 0.041666374f, 0.008363295f,
                                     0.0013941319f};  // |r| ≤ ln 2 / 2
  constexpr float kRound = 12582912.0f;               // 1.5·2²³: its last bit is worth one
  const float clipped = x < -87.3f ? -87.3f : x;
  const float shifted = clipped * 1.44269504f + kRound;
  const float whole = shifted - kRound;
  const float r = whole * 2.12194440e-4f + (whole * -0.693359375f + clipped);
  const float p = polynomial(r, kCoefficients) * (r * r) + r + 1.0f;
  const float power = fromBits((bitsOf(shifted) - bitsOf(kRound) + 127u) << 23);
  return x < -87.3f ? 0.0f : p * power;
}

/** erfc t for t ≥ 0.9: exp of a polynomial. */
PEFT_INLINE float erfcTail(float t) {
  constexpr float kCoefficients[] = {1.1285449f,    0.63565654f,    0.10520291f,    -0.02261201f,
                                     0.0028923007f, -3.606476e-05f, -4.820223e-05f, 5.1508805e-06f};
  const float clipped = t < 4.0f ? t : 4.0f;
  return expNegative(-clipped * polynomial(clipped, kCoefficients) -
                     (t * t - clipped * clipped));  // beyond 4 erfc 4·e^{−(t²−16)}, below 2e-8
}

/** The normal distribution function Φ(x) = (1 + erf(x/√2))/2, right in the left tail as well. */
PEFT_INLINE float normalCdf(float x) {
  constexpr float kCoefficients[] = {0.12837915f,   -0.37612495f, 0.112818025f,
                                     -0.026765566f, 0.00499098f,  -0.00059768936f};  // |s| ≤ 0.93
  const float s = x * 0.70710678f;
  const float t = s < 0.0f ? -s : s;
  const float small = (polynomial(s * s, kCoefficients) * s + s) * 0.5f + 0.5f;
  const float tail = 0.5f * erfcTail(t);
  const float large = x < 0.0f ? tail : 1.0f - tail;
  const float value = t < 0.92f ? small : large;
  return x != x ? x : value;
}

/** φ(x) = e^{−x²/2}/√(2π) */
PEFT_INLINE float normalPdf(float x) {
  return 0.39894228f * expNegative(-0.5f * x * x);
}

/** 1/(1 + e^{−x}) */
PEFT_INLINE float sigmoid(float x) {
  const float e = expNegative(x < 0.0f ? x : -x);
  const float inverse = 1.0f / (1.0f + e);
  const float value = x < 0.0f ? e * inverse : inverse;
  return x != x ? x : value;
}

/** x + x³·Q(x²) for |x| < 0.6, else 1 − 2/(e^{2|x|} + 1) with the sign of x. */
PEFT_INLINE float hyperbolicTangent(float x) {
  constexpr float kCoefficients[] = {-0.3333333f, 0.13332932f, -0.053876303f, 0.021121407f,
                                     -0.006283606f};
  const float t = x < 0.0f ? -x : x, s = x * x;
  const float small = polynomial(s, kCoefficients) * s * x + x;
  const float e = expNegative(-(t + t));
  const float positive = (1.0f - e) / (1.0f + e);
  const float large = x < 0.0f ? -positive : positive;
  const float value = t < 0.6f ? small : large;
  return x != x ? x : value;
}

/** Σ value(i) in sixteen partial sums, always the same ones. */
template <class Value>
PEFT_INLINE float sumOf(int64_t count, const Value& value) {
  float partial[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int lane = 0; lane < 16; lane++) partial[lane] += value(i + lane);
  }
  for (; i < count; i++) partial[i & 15] += value(i);
  for (int half = 8; half > 0; half /= 2) {
    for (int lane = 0; lane < half; lane++) partial[lane] += partial[lane + half];
  }
  return partial[0];
}

/** A bfloat16 as the float32 that it is. */
PEFT_INLINE float fromBfloat16(uint16_t value) {
  return fromBits(static_cast<uint32_t>(value) << 16);
}

}  // namespace peft
