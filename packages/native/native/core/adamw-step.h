// What one AdamW step needs besides the arrays.
#pragma once

namespace peft {

struct AdamWStep {
  float decay;          // 1 − lr·weightDecay
  float beta1, beta2;
  float gradientScale;
  float stepSize;       // lr/(1−β1ᵗ)
  float inverseRoot2;   // 1/√(1−β2ᵗ)
  float epsilon;
};

}  // namespace peft
