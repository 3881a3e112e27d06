#include "vector-product.h"

#include <algorithm>

#include "../core/arena.h"
#include "../core/dispatch.h"
#include "../core/thread-pool.h"

namespace peft {

constexpr int64_t kRun = 2048;  // elements of a row that are decoded at a time

void vectorProduct(const MatrixView& w, int64_t rows, int64_t columns, const float* x, int64_t n, const float* bias, float* y) {
  const KernelTable& table = kernels();
  parallelRanges(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(columns, 1)), 1, [&](int64_t begin, int64_t end) {
    float* decoded = scratch<float>(Scratch::kDecode, kRun);
    for (int64_t r = begin; r < end; r++) {
      float sums[kVectorProductRows] = {};
      const bool isBfloat = w.format == Format::bf16;  // multiplied as it is stored
      if (isBfloat) table.bfloatDots(static_cast<const uint16_t*>(w.data) + r * w.stride, x, n, columns, columns, sums);
      for (int64_t c = 0; c < columns && !isBfloat; c += kRun) {
        const int64_t count = std::min(kRun, columns - c);
        const float* run = static_cast<const float*>(w.data) + r * w.stride + c;
        if (w.format != Format::f32) {
          table.decodeFloat(w, r, c, count, decoded);
          run = decoded;
        }
        for (int64_t i = 0; i < n; i++) sums[i] += table.dot(run, x + i * columns + c, count);
      }
      for (int64_t i = 0; i < n; i++) y[i * rows + r] = sums[i] + (bias ? bias[r] : 0.0f);
    }
  });
}

}  // namespace peft
