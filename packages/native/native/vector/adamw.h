// AdamW (Loshchilov and Hutter 2019), torch's order of operations.
#pragma once
#include <cstdint>
#include "../core/adamw-step.h"

namespace peft::PEFT_ISA {

/** p = decay·p; m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²; p −= stepSize·m/(√v·inverseRoot2 + ε) */
inline void adamWRun(const AdamWStep& step, float* p, const float* gradient, float* m, float* v, int64_t n) {
  const vf decay = set(step.decay), beta1 = set(step.beta1), beta2 = set(step.beta2), rest1 = set(1.0f - step.beta1), rest2 = set(1.0f - step.beta2);
  const vf scale = set(step.gradientScale), size = set(step.stepSize), root = set(step.inverseRoot2), epsilon = set(step.epsilon);
  for (int64_t i = 0; i < n; i += W) {
    const int64_t lanes = n - i < W ? n - i : W;
    const vf g = loadn(gradient + i, lanes) * scale;
    const vf first = fma(loadn(m + i, lanes), beta1, rest1 * g);
    const vf second = fma(loadn(v + i, lanes), beta2, rest2 * (g * g));
    storen(m + i, first, lanes);
    storen(v + i, second, lanes);
    storen(p + i, loadn(p + i, lanes) * decay - size * first / fma(sqrt(second), root, epsilon), lanes);
  }
}

}  // namespace peft::PEFT_ISA
