// By what a row's scores become probabilities again: p = e^{score − shift}·factor.
#pragma once
#include <cmath>

#include "tile-products.h"

namespace peft {

/**
 * The shifts and factors of rows, [rows] each. logΣexp and 1 serve while logΣexp is small. A large
 * one is rounded by more than exponentials are, so that all probabilities of its row would be off
 * by one factor; there the largest score and the sum of the forward pass are made again from the
 * row's scores, in the same order. Where logΣexp is of other scores besides, these have their share
 * e^{own logΣexp − logΣexp}.
 *
 *   begin(); forward kernel over each tile with maximum and total; finish()
 */
struct RowShares {
  /** Below it a float32 is rounded by 2⁻²¹ at most. */
  static constexpr float kLargeFrom = 16;

  float *maximum, *total;

  float* shifts() const { return maximum; }
  float* factors() const { return total; }

  /** Takes logΣexp, `stride` apart. False: no row has a large one, and nothing more is to do. */
  bool begin(const float* logSumExp, int64_t stride, int64_t rows) const {
    bool large = false;
    for (int64_t r = 0; r < rows; r++) large |= isLarge(logSumExp[r * stride]);
    for (int64_t r = 0; r < rows; r++) {
      const float saved = logSumExp[r * stride];
      maximum[r] = large ? -INFINITY : shiftOf(saved);
      total[r] = large ? 0.0f : 1.0f;
    }
    return large;
  }

  void finish(const KernelTable& table, const float* logSumExp, int64_t stride,
              int64_t rows) const {
    float logarithms[kQueryBlock];
    table.unaryRun(Unary::log, total, logarithms, rows);
    for (int64_t r = 0; r < rows; r++) {
      const float saved = logSumExp[r * stride];
      if (isLarge(saved) && total[r] > 0) {
        total[r] = std::exp(maximum[r] + logarithms[r] - saved) / total[r];
      } else {
        maximum[r] = shiftOf(saved);
        total[r] = 1;
      }
    }
  }

 private:
  static bool isLarge(float logSumExp) {
    return std::abs(logSumExp) >= kLargeFrom && std::abs(logSumExp) < INFINITY;
  }
  /** −∞ is of a row that has seen nothing. */
  static float shiftOf(float logSumExp) { return logSumExp > -3.4e38f ? logSumExp : 0.0f; }
};

}  // namespace peft
