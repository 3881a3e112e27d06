// y = x·Wᵀ for one or few rows x, as in generation: bound by reading W, which is decoded once and not packed.
#pragma once
#include <cstdint>
#include "../core/matrix-view.h"

namespace peft {

/** Up to this many rows of x the product goes this way. */
constexpr int64_t kVectorProductRows = 2;

/** y [n, rows] = x [n, columns]·Wᵀ + bias, W [rows, columns]. Operands stay float32. */
void vectorProduct(const MatrixView& w, int64_t rows, int64_t columns, const float* x, int64_t n, const float* bias, float* y);

}  // namespace peft
