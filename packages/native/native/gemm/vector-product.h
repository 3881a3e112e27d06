// y = x·Wᵀ for one or few rows x, as in generation: bound by reading W, which is decoded once and not packed.
#pragma once
#include <cstdint>
#include "../core/matrix-view.h"

namespace peft {

/** Rows of x that the product can take this way at the most. */
constexpr int64_t kVectorProductRows = 8;

/** Up to this many rows of x the product is best done this way: bf16 is multiplied as it is stored, other formats are unpacked first. */
inline int64_t vectorProductRows(const MatrixView& w) { return w.format == Format::bf16 ? kVectorProductRows : 2; }

/** y [n, rows] = x [n, columns]·Wᵀ + bias, W [rows, columns]. Operands stay float32. */
void vectorProduct(const MatrixView& w, int64_t rows, int64_t columns, const float* x, int64_t n, const float* bias, float* y);

}  // namespace peft
