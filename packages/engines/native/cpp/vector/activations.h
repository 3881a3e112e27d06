// Activations f and their derivatives.
//   gelu       x·Φ(x)                                     f' = Φ(x) + x·φ(x)
//   gelu_tanh  x·σ(2u), u = √(2/π)·(x + 0.044715·x³)      f' = s + x·s·(1−s)·2u'
//   gelu_quick x·σ(1.702·x)                               f' = s + 1.702·x·s·(1−s)
//   silu       x·σ(x)                                     f' = s + x·s·(1−s)
//   leaky_relu x > 0 ? x : 0.01·x
#pragma once
#include <cstdint>
#include "../core/operation-codes.h"
#include "map.h"
#include "math.h"

namespace peft::PEFT_ISA {

/** f(x) and f'(x). */
template <Activation kind>
struct Activated {
  static vf value(vf x) { return both(x).f; }
  static vf derivative(vf x) { return both(x).d; }

  struct Both {
    vf f, d;
  };
  static Both both(vf x) {
    const vf one = set(1.0f);
    if constexpr (kind == Activation::gelu) {
      const vf cdf = normalCdf(x);
      return {x * cdf, fma(x, set(0.39894228f) * expNegative(set(-0.5f) * x * x), cdf)};
    } else if constexpr (kind == Activation::geluTanh) {
      const vf square = x * x;
      const vf s = sigmoid(set(1.59576912f) * x * fma(square, set(0.044715f), one));
      const vf slope = set(1.59576912f) * fma(square, set(0.134145f), one);
      return {x * s, fma(x * s * (one - s), slope, s)};
    } else if constexpr (kind == Activation::geluQuick) {
      const vf s = sigmoid(set(1.702f) * x);
      return {x * s, fma(x * s * (one - s), set(1.702f), s)};
    } else if constexpr (kind == Activation::relu) {
      const vm positive = gt(x, zero());
      return {select(lt(x, zero()), zero(), x), select(positive, one, zero())};
    } else if constexpr (kind == Activation::reluSquared) {
      const vf r = select(lt(x, zero()), zero(), x);
      return {r * r, r + r};
    } else if constexpr (kind == Activation::silu) {
      const vf s = sigmoid(x);
      return {x * s, fma(x * s, one - s, s)};
    } else if constexpr (kind == Activation::tanh) {
      const vf t = tanh(x);
      return {t, one - t * t};
    } else if constexpr (kind == Activation::sigmoid) {
      const vf s = sigmoid(x);
      return {s, s * (one - s)};
    } else {
      const vm positive = gt(x, zero());
      return {select(positive, x, x * set(0.01f)), select(positive, one, set(0.01f))};
    }
  }
};

/** Calls `body` with the `Activated` of a kind. */
template <class Body>
inline void withActivation(Activation kind, Body body) {
  switch (kind) {
    case Activation::gelu:
      body(Activated<Activation::gelu>{});
      break;
    case Activation::geluTanh:
      body(Activated<Activation::geluTanh>{});
      break;
    case Activation::geluQuick:
      body(Activated<Activation::geluQuick>{});
      break;
    case Activation::relu:
      body(Activated<Activation::relu>{});
      break;
    case Activation::reluSquared:
      body(Activated<Activation::reluSquared>{});
      break;
    case Activation::silu:
      body(Activated<Activation::silu>{});
      break;
    case Activation::tanh:
      body(Activated<Activation::tanh>{});
      break;
    case Activation::sigmoid:
      body(Activated<Activation::sigmoid>{});
      break;
    default:
      body(Activated<Activation::leakyRelu>{});
      break;
  }
}

inline void activationRun(Activation kind, const float* x, float* y, int64_t n) {
  withActivation(kind, [&](auto f) { map1(x, y, n, [](vf a) { return decltype(f)::value(a); }); });
}

inline void activationGradientRun(Activation kind, const float* x, const float* dy, float* dx,
                                  int64_t n) {
  withActivation(kind, [&](auto f) {
    map2(x, dy, dx, n, [](vf a, vf d) { return d * decltype(f)::derivative(a); });
  });
}

inline void gatedRun(Activation kind, const float* gate, const float* up, float* y, int64_t n) {
  withActivation(kind, [&](auto f) {
    map2(gate, up, y, n, [](vf g, vf u) { return decltype(f)::value(g) * u; });
  });
}

inline void gatedGradientRun(Activation kind, const float* gate, const float* up, const float* dy,
                             float* dgate, float* dup, int64_t n) {
  withActivation(kind, [&](auto f) {
    for (int64_t i = 0; i < n; i += W) {
      const int64_t lanes = n - i < W ? n - i : W;
      const vf g = loadn(gate + i, lanes), u = loadn(up + i, lanes), d = loadn(dy + i, lanes);
      const auto both = decltype(f)::both(g);
      storen(dgate + i, d * u * both.d, lanes);
      storen(dup + i, d * both.f, lanes);
    }
  });
}

}  // namespace peft::PEFT_ISA
