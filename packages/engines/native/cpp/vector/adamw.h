// AdamW (Loshchilov and Hutter 2019), torch's order of operations.
#pragma once
#include <cmath>
#include <cstdint>
#include "../core/adamw-step.h"

namespace peft::PEFT_ISA {

/**
 * m += (g − m)(1 − β1); v = β2·v + (1 − β2)·g²; p = shrink·p − stepSize·m/(√v/rootCorrection + ε),
 * g the gradient times its scale, rounded. In double precision, each operation rounded by itself,
 * as @peft/optim's loop in JavaScript: the same bytes.
 */
inline void adamWRun(const AdamWStep& step, float* p, const float* gradient, float* m, float* v,
                     int64_t n) {
  const AdamWStep s = step;
  for (int64_t i = 0; i < n; i++) {
    const double g = static_cast<float>(gradient[i] * s.gradientScale);
    const double first = m[i] + (g - m[i]) * s.rest1;
    const double second = s.beta2 * v[i] + s.rest2 * g * g;
    m[i] = static_cast<float>(first);
    v[i] = static_cast<float>(second);
    p[i] = static_cast<float>(
        p[i] * s.shrink - s.stepSize * first / (std::sqrt(second) / s.rootCorrection + s.epsilon));
  }
}

}  // namespace peft::PEFT_ISA
