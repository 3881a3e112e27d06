#include "vector-product.h"

#include <algorithm>

#include "../core/arena.h"
#include "../core/dispatch.h"
#include "../core/thread-pool.h"

namespace peft {
namespace {

/** Rows of W and columns that a group of sums takes at a time: what is read more than once stays in
 * the first cache. */
struct Group {
  int64_t rows, columns;
};
constexpr int64_t kMostRows = 12;  // whole tiles of three and of four
constexpr int64_t kDecodedColumns = 2048;

Group groupFor(bool isStored, int64_t n, int64_t columns) {
  if (isStored) return {kMostRows, n <= 2 ? columns : 1024};
  if (n <= 2) return {1, kDecodedColumns};
  return {n <= 5 ? 4 : 3, 1024};
}

/** sums [rows of W, n] += rows from `row` on, columns from `column` on. Dense formats are
 * multiplied as they are stored, int8 and four bits are decoded first. */
void addSums(const MatrixView& w, int64_t row, int64_t rows, int64_t column, int64_t count,
             const float* x, int64_t n, int64_t xStride, float* decoded, float* sums) {
  const KernelTable& table = kernels();
  const int64_t first = row * w.stride + column;
  if (w.format == Format::bf16) {
    table.bfloatRowDots(static_cast<const uint16_t*>(w.data) + first, w.stride, rows, x + column, n,
                        xStride, count, sums);
  } else if (w.format == Format::f16) {
    table.halfRowDots(static_cast<const uint16_t*>(w.data) + first, w.stride, rows, x + column, n,
                      xStride, count, sums);
  } else if (w.format == Format::f32) {
    table.floatRowDots(static_cast<const float*>(w.data) + first, w.stride, rows, x + column, n,
                       xStride, count, sums);
  } else {
    for (int64_t r = 0; r < rows; r++)
      table.decodeFloat(w, row + r, column, count, decoded + r * kDecodedColumns);
    table.floatRowDots(decoded, kDecodedColumns, rows, x + column, n, xStride, count, sums);
  }
}

/** A copy of x whose rows lie a cache line more apart: with a stride of a power of two they would
 * all want the same lines of the cache. */
const float* spread(const float* x, int64_t n, int64_t columns, int64_t stride) {
  float* copy = scratch<float>(Scratch::kSharedS, n * stride);
  for (int64_t i = 0; i < n; i++)
    std::copy(x + i * columns, x + (i + 1) * columns, copy + i * stride);
  return copy;
}

}  // namespace

void vectorProduct(const MatrixView& w, int64_t rows, int64_t columns, const float* x, int64_t n,
                   const float* bias, float* y) {
  if (n == 0) return;
  const bool isStored =
      w.format == Format::bf16 || w.format == Format::f16 || w.format == Format::f32;
  const Group group = groupFor(isStored, n, columns);
  const int64_t xStride = n <= 2 ? columns : (columns + 15) / 16 * 16 + 16;
  if (n > 2) x = spread(x, n, columns, xStride);
  parallelRanges(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(columns, 1)), group.rows,
                 [&](int64_t begin, int64_t end) {
                   float* decoded = scratch<float>(Scratch::kDecode,
                                                   isStored ? 0 : group.rows * kDecodedColumns);
                   for (int64_t first = begin; first < end; first += group.rows) {
                     const int64_t count = std::min(group.rows, end - first);
                     float sums[kMostRows * kVectorProductRows] = {};
                     for (int64_t c = 0; c < columns; c += group.columns)
                       addSums(w, first, count, c, std::min(group.columns, columns - c), x, n,
                               xStride, decoded, sums);
                     for (int64_t r = 0; r < count; r++)
                       for (int64_t i = 0; i < n; i++)
                         y[i * rows + first + r] =
                             sums[r * n + i] + (bias ? bias[first + r] : 0.0f);
                   }
                 });
}

}  // namespace peft
