// Numbers of one AdamW step of one tensor.
#pragma once

namespace peft {

struct AdamWStep {
  double shrink;          // 1 − lr·decay
  double stepSize;        // lr/(1 − β1ᵗ)
  double rest1;           // 1 − β1
  double beta2, rest2;    // β2, 1 − β2
  double rootCorrection;  // √(1 − β2ᵗ)
  double epsilon;
  double gradientScale;
};

}  // namespace peft
