// Products of rows of bf16, float16 or float32 numbers with a few rows of float32 numbers: bound by
// reading the former.
#pragma once
#include <cstdint>
#include "../core/half.h"
#include "decode.h"

namespace peft::PEFT_ISA {

inline vf loadStored(const uint16_t* p) {
  return loadBf16(p);
}
struct StoredHalf {
  uint16_t bits;
};
inline vf loadStored(const StoredHalf* p) {
  return loadF16(&p->bits);
}
inline vf loadStored(const float* p) {
  return load(p);
}
inline float storedToFloat(uint16_t a) {
  return bfloatToFloat(a);
}
inline float storedToFloat(StoredHalf a) {
  return halfToFloat(a.bits);
}
inline float storedToFloat(float a) {
  return a;
}

/**
 * out[v·R + r] += Σ_i w[v·wStride + i]·x[r·xStride + i] for V rows of w and R rows of x. Each sum
 * is kept in U parts, so that additions do not wait for each other where there are few.
 */
template <int R, int V, int U, class Stored>
inline void dotTile(const Stored* w, int64_t wStride, const float* x, int64_t xStride, int64_t n,
                    float* out) {
  vf sums[V][R][U];
  for (int v = 0; v < V; v++)
    for (int r = 0; r < R; r++)
      for (int u = 0; u < U; u++) sums[v][r][u] = zero();
  int64_t i = 0;
  auto step = [&](int u) {
    vf weights[V];
    for (int v = 0; v < V; v++) weights[v] = loadStored(w + v * wStride + i + u * W);
    for (int r = 0; r < R; r++) {
      const vf factor = load(x + r * xStride + i + u * W);
      for (int v = 0; v < V; v++) sums[v][r][u] = fma(weights[v], factor, sums[v][r][u]);
    }
  };
  for (; i + U * W <= n; i += U * W)
    for (int u = 0; u < U; u++) step(u);
  for (; i + W <= n; i += W) step(0);
  for (int v = 0; v < V; v++)
    for (int r = 0; r < R; r++) {
      vf all = sums[v][r][0];
      for (int u = 1; u < U; u++) all = all + sums[v][r][u];
      float rest = 0;
      for (int64_t j = i; j < n; j++)
        rest += storedToFloat(w[v * wStride + j]) * x[r * xStride + j];
      out[v * R + r] += sum(all) + rest;
    }
}

/** For R rows of x: as many rows of w at a time as there are registers for their sums, so that x is
 * read less often. */
template <int R, class Stored>
inline void dotRows(const Stored* w, int64_t wStride, int64_t wRows, const float* x,
                    int64_t xStride, int64_t n, float* out) {
  constexpr int V = R == 1 || W < 16 ? 1 : R <= 5 ? 4 : 3;
  constexpr int U = V > 1 || R > 2 ? 1 : 4 / R;
  int64_t v = 0;
  for (; v + V <= wRows; v += V)
    dotTile<R, V, U>(w + v * wStride, wStride, x, xStride, n, out + v * R);
  for (; v < wRows; v++) dotTile<R, 1, U>(w + v * wStride, wStride, x, xStride, n, out + v * R);
}

/** out[v·rows + r] += Σ_i w[v·wStride + i]·x[r·xStride + i] for 1 to 8 rows r of x. */
template <class Stored>
inline void rowDots(const Stored* w, int64_t wStride, int64_t wRows, const float* x, int64_t rows,
                    int64_t xStride, int64_t n, float* out) {
  switch (rows) {
    case 1:
      return dotRows<1>(w, wStride, wRows, x, xStride, n, out);
    case 2:
      return dotRows<2>(w, wStride, wRows, x, xStride, n, out);
    case 3:
      return dotRows<3>(w, wStride, wRows, x, xStride, n, out);
    case 4:
      return dotRows<4>(w, wStride, wRows, x, xStride, n, out);
    case 5:
      return dotRows<5>(w, wStride, wRows, x, xStride, n, out);
    case 6:
      return dotRows<6>(w, wStride, wRows, x, xStride, n, out);
    case 7:
      return dotRows<7>(w, wStride, wRows, x, xStride, n, out);
    default:
      return dotRows<8>(w, wStride, wRows, x, xStride, n, out);
  }
}

inline void halfRowDots(const uint16_t* w, int64_t wStride, int64_t wRows, const float* x,
                        int64_t rows, int64_t xStride, int64_t n, float* out) {
  rowDots(reinterpret_cast<const StoredHalf*>(w), wStride, wRows, x, rows, xStride, n, out);
}

}  // namespace peft::PEFT_ISA
