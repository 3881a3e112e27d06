// y = x·Wᵀ for one or few rows x, as in generation: bound by reading W, which is decoded once and
// not packed.
#pragma once
#include <cstdint>
#include "../core/matrix-view.h"

namespace peft {

/** The most rows of x that go this way. */
constexpr int64_t kVectorProductRows = 8;

/** Up to so many rows it is faster than the packed product, as measured (AVX-512). */
inline int64_t vectorProductRows(Format format) {
  switch (format) {
    case Format::int8:
      return 4;
    case Format::f32:
      return 6;
    default:
      return kVectorProductRows;
  }
}

/** y [n, rows] = x [n, columns]·Wᵀ + bias, W [rows, columns]. Operands stay float32. */
void vectorProduct(const MatrixView& w, int64_t rows, int64_t columns, const float* x, int64_t n,
                   const float* bias, float* y);

}  // namespace peft
