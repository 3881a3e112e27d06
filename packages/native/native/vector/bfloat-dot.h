// Products of a row of stored bf16 numbers with one or two rows of float32 numbers, without a copy of the row: bound by reading it.
#pragma once
#include <cstdint>
#include "../core/half.h"
#include "decode.h"

namespace peft::PEFT_ISA {

/** R rows of x, 1 or 2. Four sums are kept apart, so that the additions do not wait for each other. */
template <int R>
inline void bfloatDotRows(const uint16_t* w, const float* x, int64_t stride, int64_t n, float* out) {
  constexpr int U = 4 / R;
  vf sums[R][U];
  for (int r = 0; r < R; r++)
    for (int u = 0; u < U; u++) sums[r][u] = zero();
  int64_t i = 0;
  for (; i + U * W <= n; i += U * W)
    for (int u = 0; u < U; u++) {
      const vf weights = loadBf16(w + i + u * W);
      for (int r = 0; r < R; r++) sums[r][u] = fma(weights, load(x + r * stride + i + u * W), sums[r][u]);
    }
  for (; i + W <= n; i += W) {
    const vf weights = loadBf16(w + i);
    for (int r = 0; r < R; r++) sums[r][0] = fma(weights, load(x + r * stride + i), sums[r][0]);
  }
  for (int r = 0; r < R; r++) {
    vf all = sums[r][0];
    for (int u = 1; u < U; u++) all = all + sums[r][u];
    float rest = 0;
    for (int64_t j = i; j < n; j++) rest += bfloatToFloat(w[j]) * x[r * stride + j];
    out[r] = sum(all) + rest;
  }
}

/** out[r] = Σ_i w[i]·x[r·stride + i] for rows r of x, one or two. */
inline void bfloatDots(const uint16_t* w, const float* x, int64_t rows, int64_t stride, int64_t n, float* out) {
  if (rows == 1) bfloatDotRows<1>(w, x, stride, n, out);
  else bfloatDotRows<2>(w, x, stride, n, out);
}

}  // namespace peft::PEFT_ISA
