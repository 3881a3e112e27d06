// The innermost loops of a product: a tile of kTileRows × (kTileVectors·W) sums kept in registers.
#pragma once
#include <cstdint>
#include <cstring>
#include "../core/product-kernels.h"
#include "transpose.h"

namespace peft::PEFT_ISA {

struct FloatDot {
  static vf broadcast(const uint32_t* s) {
    float value;
    std::memcpy(&value, s, 4);
    return set(value);
  }
  static vf vector(const uint32_t* v) { return fromBits(loadi(v)); }
  static vf add(vf sum, vf s, vf v) { return fma(s, v, sum); }
};

#ifdef PEFT_HAS_BF16
struct BfloatDot {
  static vf broadcast(const uint32_t* s) {
    return {_mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(*s)))};
  }
  static vf vector(const uint32_t* v) { return {_mm512_castsi512_ps(_mm512_loadu_si512(v))}; }
  static vf add(vf sum, vf s, vf v) {
    return {_mm512_dpbf16_ps(sum.v, (__m512bh)s.v, (__m512bh)v.v)};
  }
};
#endif

/** `vectors` vectors of `rows` rows of sums, `stride` apart. */
template <class Dot, int rows, int vectors>
void tile(int64_t words, const uint32_t* s, const uint32_t* v, float* sums, int64_t stride,
          bool accumulate) {
  vf total[rows][vectors];
  PEFT_UNROLL
  for (int i = 0; i < rows; i++) PEFT_UNROLL
  for (int j = 0; j < vectors; j++) total[i][j] = zero();
  for (int64_t k = 0; k < words; k++) {
    vf column[vectors];
    PEFT_UNROLL
    for (int j = 0; j < vectors; j++) column[j] = Dot::vector(v + j * W);
    PEFT_UNROLL
    for (int i = 0; i < rows; i++) {
      vf row = Dot::broadcast(s + i * kStrideWords);
      PEFT_UNROLL
      for (int j = 0; j < vectors; j++) total[i][j] = Dot::add(total[i][j], row, column[j]);
    }
    s += 1;
    v += kTileVectors * W;
  }
  PEFT_UNROLL
  for (int i = 0; i < rows; i++) PEFT_UNROLL
  for (int j = 0; j < vectors; j++) {
    float* p = sums + i * stride + j * W;
    store(p, accumulate ? total[i][j] + load(p) : total[i][j]);
  }
}

using TileFunction = void (*)(int64_t, const uint32_t*, const uint32_t*, float*, int64_t, bool);

template <class Dot, int rows>
inline TileFunction tileOf(int64_t wantedRows, int64_t wantedVectors) {
  if (wantedRows == rows)
    return kTileVectors == 2 && wantedVectors == 1 ? tile<Dot, rows, 1>
                                                   : tile<Dot, rows, kTileVectors>;
  if constexpr (rows > 1) return tileOf<Dot, rows - 1>(wantedRows, wantedVectors);
  return nullptr;
}

/** All rows against one panel of V. */
template <class Dot, int vectors>
inline void multiplyPanel(int64_t rows, int64_t words, const uint32_t* s, const uint32_t* v,
                          float* sums, int64_t stride, bool accumulate) {
  for (; rows >= kTileRows;
       rows -= kTileRows, s += kTileRows * kStrideWords, sums += kTileRows * stride)
    tile<Dot, kTileRows, vectors>(words, s, v, sums, stride, accumulate);
  if (rows > 0) tileOf<Dot, kTileRows>(rows, vectors)(words, s, v, sums, stride, accumulate);
}

/** The operand with more columns or rows is walked once; the smaller one stays in the cache. Panels
 * of sums lie `panelStride` apart, rows `rowStride`. */
template <class Dot>
inline void multiplyPanels(int64_t rows, int64_t columns, int64_t words, const uint32_t* s,
                           const uint32_t* v, float* sums, int64_t panelStride, int64_t rowStride,
                           bool accumulate) {
  constexpr int64_t width = W * kTileVectors;
  const int64_t step = rows > columns ? kTileRows : rows;
  for (int64_t r = 0; r < rows; r += step) {
    const int64_t height = rows - r < step ? rows - r : step;
    for (int64_t c = 0; c < columns; c += width) {
      const uint32_t* rowsOfS = s + r * kStrideWords;
      const uint32_t* panel = v + c * words;
      float* target = sums + c / width * panelStride + r * rowStride;
      if (columns - c > W)
        multiplyPanel<Dot, kTileVectors>(height, words, rowsOfS, panel, target, rowStride,
                                         accumulate);
      else
        multiplyPanel<Dot, 1>(height, words, rowsOfS, panel, target, rowStride, accumulate);
    }
  }
}

template <class Dot>
void multiply(int64_t rows, int64_t columns, int64_t words, const uint32_t* s, const uint32_t* v,
              float* sums, int64_t sumRows, bool accumulate) {
  constexpr int64_t width = W * kTileVectors;
  multiplyPanels<Dot>(rows, columns, words, s, v, sums, sumRows * width, width, accumulate);
}

template <class Dot>
void multiplyInto(int64_t rows, int64_t columns, int64_t words, const uint32_t* s,
                  const uint32_t* v, float* out, int64_t stride, bool accumulate) {
  multiplyPanels<Dot>(rows, columns, words, s, v, out, W * kTileVectors, stride, accumulate);
}

inline void storeSums(const float* sums, int64_t sumRows, int64_t rows, int64_t columns, float* out,
                      int64_t stride, const float* bias, bool accumulate) {
  constexpr int64_t width = W * kTileVectors;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c += W) {
      const int64_t lanes = columns - c < W ? columns - c : W;
      float* to = out + r * stride + c;
      vf value = load(sums + c / width * sumRows * width + r * width + c % width);
      if (bias) value = value + loadn(bias + c, lanes);
      if (accumulate) value = value + loadn(to, lanes);
      if (lanes == W)
        store(to, value);
      else
        storen(to, value, lanes);
    }
}

inline void storeSumsTransposed(const float* sums, int64_t sumRows, int64_t rows, int64_t columns,
                                float* out, int64_t stride, const float* bias, bool accumulate) {
  constexpr int64_t width = W * kTileVectors;
  vi block[W];
  for (int64_t c = 0; c < columns; c += W) {
    const int64_t lanes = columns - c < W ? columns - c : W;
    const float* from = sums + c / width * sumRows * width + c % width;
    for (int64_t r = 0; r < rows; r += W) {
      const int64_t height = rows - r < W ? rows - r : W;
      for (int i = 0; i < W; i++) block[i] = i < height ? loadi(from + (r + i) * width) : seti(0);
      transposeLanes(block);
      const vf added = bias ? loadn(bias + r, height) : zero();
      for (int64_t i = 0; i < lanes; i++) {
        float* to = out + (c + i) * stride + r;
        vf value = fromBits(block[i]) + added;
        if (accumulate) value = value + loadn(to, height);
        if (height == W)
          store(to, value);
        else
          storen(to, value, height);
      }
    }
  }
}

}  // namespace peft::PEFT_ISA
