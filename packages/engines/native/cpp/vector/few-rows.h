// Products of few rows with stored rows: the weight is read once and turned in the first-level
// cache, a chunk of two panels at a time, instead of being packed whole.
#pragma once
#include <cstdint>
#include <cstring>
#include "tile.h"
#include "turn.h"

namespace peft::PEFT_ISA {

/** Words of k that are turned before they are multiplied. */
constexpr int64_t kChunkWords = 64;

/** Rows whose sums over two panels stay in registers. */
constexpr int kPairRows = kTileRows / 2 - 1;

/** totals[row][panels·kPanelWords] += S·V for `panels` panels of V, kChunkWords·kPanelWords apart;
 * the order is `tile`'s, taken up where the last chunk left it. */
template <class Dot, int rows, int panels>
void resumeTile(int64_t words, const uint32_t* s, const uint32_t* v, float* totals) {
  constexpr int vectors = panels * kTileVectors, stride = 2 * kPanelWords;
  vf total[rows][vectors];
  PEFT_UNROLL
  for (int i = 0; i < rows; i++) PEFT_UNROLL
  for (int j = 0; j < vectors; j++) total[i][j] = load(totals + i * stride + j * W);
  for (int64_t k = 0; k < words; k++) {
    vf column[vectors];
    PEFT_UNROLL
    for (int j = 0; j < vectors; j++)
      column[j] =
          Dot::vector(v + j / kTileVectors * kChunkWords * kPanelWords + j % kTileVectors * W);
    PEFT_UNROLL
    for (int i = 0; i < rows; i++) {
      vf row = Dot::broadcast(s + i * kStrideWords);
      PEFT_UNROLL
      for (int j = 0; j < vectors; j++) total[i][j] = Dot::add(total[i][j], row, column[j]);
    }
    s += 1;
    v += kPanelWords;
  }
  PEFT_UNROLL
  for (int i = 0; i < rows; i++) PEFT_UNROLL
  for (int j = 0; j < vectors; j++) store(totals + i * stride + j * W, total[i][j]);
}

/** Up to kPairRows rows against two panels, or kTileRows against one. */
template <class Dot, int rows, int panels>
inline void resumeRows(int64_t count, int64_t words, const uint32_t* s, const uint32_t* v,
                       float* totals) {
  if (count >= rows) {
    resumeTile<Dot, rows, panels>(words, s, v, totals);
    if (count > rows)
      resumeRows<Dot, rows, panels>(count - rows, words, s + rows * kStrideWords, v,
                                    totals + rows * 2 * kPanelWords);
    return;
  }
  if constexpr (rows > 1) resumeRows<Dot, rows - 1, panels>(count, words, s, v, totals);
}

template <class Words, class Dot>
void multiplyFew(const MatrixView& view, int64_t column0, int64_t columns, const Passes& passes,
                 int64_t rows, const uint32_t* s, float* sums, int64_t sumRows, uint32_t* scratch) {
  constexpr int64_t width = kPanelWords, stride = 2 * kPanelWords;
  uint32_t* panels = scratch;  // two of kChunkWords
  float* totals = reinterpret_cast<float*>(panels + 2 * kChunkWords * width);
  uint32_t* spare = panels + 2 * kChunkWords * width + kMostFewRows * stride;
  for (int64_t c = 0; c < columns; c += 2 * width) {
    const int64_t here = columns - c < 2 * width ? columns - c : 2 * width;
    for (int64_t pass = 0; pass < passes.count; pass++) {
      const uint32_t* row = s + pass * rows * kStrideWords;
      const int64_t words = passes.wordsOf(pass), end = passes.depthEnd(pass);
      std::memset(totals, 0, static_cast<size_t>(rows * stride) * 4);
      for (int64_t w = 0; w < words; w += kChunkWords) {
        const int64_t chunk = words - w < kChunkWords ? words - w : kChunkWords,
                      k = passes.depthBegin(pass) + w * Words::kPerWord,
                      next = k + chunk * Words::kPerWord;
        const int64_t count = (next < end ? next : end) - k;
        const int64_t ahead = next < passes.depth       ? next - k
                              : columns - c > 2 * width ? 2 * width * view.stride - k
                                                        : 0;
        for (int64_t i = 0; i < here; i += width)
          turnPanel<Words>(view, column0 + c + i, here - i < width ? here - i : width, k, count,
                           panels + i * kChunkWords, spare, ahead);
        if (here <= width)
          resumeRows<Dot, kTileRows, 1>(rows, chunk, row + w, panels, totals);
        else if (rows <= kPairRows)
          resumeRows<Dot, kPairRows, 2>(rows, chunk, row + w, panels, totals);
        else
          for (int64_t i = 0; i < 2; i++)
            resumeRows<Dot, kTileRows, 1>(rows, chunk, row + w, panels + i * kChunkWords * width,
                                          totals + i * width);
      }
      for (int64_t i = 0; i < here; i += W) {
        float* to = sums + (c + i) / width * sumRows * width + i % width;
        const float* from = totals + i;
        for (int64_t r = 0; r < rows; r++, to += width, from += stride)
          store(to, pass > 0 ? load(from) + load(to) : load(from));
      }
    }
  }
}

}  // namespace peft::PEFT_ISA
