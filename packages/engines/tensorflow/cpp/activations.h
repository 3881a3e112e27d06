// Activations f and their derivatives, one element at a time.
//   gelu       x·Φ(x)                                     f' = Φ(x) + x·φ(x)
//   gelu_tanh  x·σ(2u), u = √(2/π)·(x + 0.044715·x³)      f' = s + x·s·(1−s)·2u'
//   gelu_quick x·σ(1.702·x)                               f' = s + 1.702·x·s·(1−s)
//   silu       x·σ(x)                                     f' = s + x·s·(1−s)
//   leaky_relu x > 0 ? x : 0.01·x
#pragma once
#include <string>
#include "vector-math.h"

namespace peft {

struct Both {
  float value, derivative;
};

struct Gelu {
  PEFT_INLINE static Both both(float x) {
    const float cdf = normalCdf(x);
    return {x * cdf, cdf + x * normalPdf(x)};
  }
};

/** x·σ(a) with a' = slope. */
PEFT_INLINE Both swish(float x, float a, float slope) {
  const float s = sigmoid(a);
  return {x * s, s + x * s * (1.0f - s) * slope};
}

struct GeluTanh {
  PEFT_INLINE static Both both(float x) {
    const float square = x * x;
    return swish(x, 1.59576912f * x * (square * 0.044715f + 1.0f),
                 1.59576912f * (square * 0.134145f + 1.0f));
  }
};
struct GeluQuick {
  PEFT_INLINE static Both both(float x) { return swish(x, 1.702f * x, 1.702f); }
};
struct Silu {
  PEFT_INLINE static Both both(float x) { return swish(x, x, 1.0f); }
};
struct Relu {
  PEFT_INLINE static Both both(float x) { return {x < 0.0f ? 0.0f : x, x > 0.0f ? 1.0f : 0.0f}; }
};
struct ReluSquared {
  PEFT_INLINE static Both both(float x) {
    const float r = x < 0.0f ? 0.0f : x;
    return {r * r, r + r};
  }
};
struct Tanh {
  PEFT_INLINE static Both both(float x) {
    const float t = hyperbolicTangent(x);
    return {t, 1.0f - t * t};
  }
};
struct Sigmoid {
  PEFT_INLINE static Both both(float x) {
    const float s = sigmoid(x);
    return {s, s * (1.0f - s)};
  }
};
struct LeakyRelu {
  PEFT_INLINE static Both both(float x) {
    return {x > 0.0f ? x : x * 0.01f, x > 0.0f ? 1.0f : 0.01f};
  }
};

/** Loops over ranges, for one activation. */
struct ActivationLoops {
  void (*forward)(const float* x, float* y, int64_t count);
  void (*gradient)(const float* x, const float* dy, float* dx, int64_t count);
  void (*gated)(const float* gate, const float* up, float* y, int64_t count);
  void (*gatedGradient)(const float* gate, const float* up, const float* dy, float* dgate,
                        float* dup, int64_t count);
};

/** @throws Refusal for an unknown name */
const ActivationLoops& activationLoops(const std::string& kind);

}  // namespace peft
