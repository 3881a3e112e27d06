// Packing of the operands of a product, see core/product-kernels.h for the layouts.
#pragma once
#include <cstdint>
#include <cstring>
#include "../core/product-kernels.h"
#include "decode.h"
#include "transpose.h"
#include "turn.h"

namespace peft::PEFT_ISA {

#ifdef PEFT_HAS_BF16
/** a0 b0 a1 b1 … of 32 16-bit elements each. */
inline void storeZipped(uint32_t* to, __m512i a, __m512i b) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8,
                                       39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  _mm512_storeu_si512(to, _mm512_permutex2var_epi16(a, low, b));
  _mm512_storeu_si512(to + 16, _mm512_permutex2var_epi16(a, high, b));
}
#endif

/** Float32 operands, one element a word. */
struct FloatWords {
  static constexpr int kPerWord = 1;
  using Sink = FloatSink;
  static int64_t turn(const StoredRows& rows, int64_t count, uint32_t* panel) {
    return turnFloats(rows, count, panel);
  }

  /** The row k as words; points into the matrix where it can, else into `scratch`. */
  struct Row {
    const uint32_t* words;
    Row(const MatrixView& view, int64_t k, bool, int64_t column, int64_t count, uint32_t* scratch) {
      if (view.format == Format::f32) {
        words = static_cast<const uint32_t*>(view.data) + k * view.stride + column;
      } else {
        decodeRun<Sink>(view, k, column, count, reinterpret_cast<float*>(scratch));
        words = scratch;
      }
    }
    vi at(int64_t i) const { return loadi(words + i); }
    uint32_t oneAt(int64_t i) const { return words[i]; }
    /** Words i … i + kPanelWords − 1. */
    void copyPanel(int64_t i, uint32_t* to) const {
      for (int64_t j = 0; j < kPanelWords; j += W) storei(to + j, at(i + j));
    }
  };
};

/** bf16 operands, two a word. */
struct BfloatWords {
  static constexpr int kPerWord = 2;
  using Sink = BfloatSink;
#ifdef PEFT_HAS_BF16
  static int64_t turn(const StoredRows& rows, int64_t count, uint32_t* panel) {
    return turnPairs(rows, count, panel);
  }
#endif

  /** Rows k and k+1 (zeros where k is the `last`), element pairs as words. */
  struct Row {
    const uint16_t* even;
    const uint16_t* odd;
    Row(const MatrixView& view, int64_t k, bool last, int64_t column, int64_t count,
        uint32_t* scratch) {
      uint16_t* space = reinterpret_cast<uint16_t*>(scratch);
      const int64_t half = (count + 31) / 32 * 32;
      even = read(view, k, column, count, space);
      if (last) std::memset(space + half, 0, static_cast<size_t>(half) * 2);
      odd = last ? space + half : read(view, k + 1, column, count, space + half);
    }
    static const uint16_t* read(const MatrixView& view, int64_t k, int64_t column, int64_t count,
                                uint16_t* space) {
      if (view.format == Format::bf16)
        return static_cast<const uint16_t*>(view.data) + k * view.stride + column;
      decodeRun<Sink>(view, k, column, count, space);
      return space;
    }
    vi at(int64_t i) const { return loadU16(even + i) | shl<16>(loadU16(odd + i)); }
    uint32_t oneAt(int64_t i) const { return even[i] | static_cast<uint32_t>(odd[i]) << 16; }
    void copyPanel(int64_t i, uint32_t* to) const {
#ifdef PEFT_HAS_BF16
      static_assert(kPanelWords == 32);
      storeZipped(to, _mm512_loadu_si512(even + i), _mm512_loadu_si512(odd + i));
#else
      for (int64_t j = 0; j < kPanelWords; j += W) storei(to + j, at(i + j));
#endif
    }
  };
};

template <class Words>
void packS(const MatrixView& view, bool transposed, int64_t row0, int64_t rows, int64_t k0,
           int64_t count, uint32_t* packed, uint32_t* scratch) {
  if (!transposed) {
    for (int64_t i = 0; i < rows; i++)
      packRun<Words>(view, row0 + i, k0, count, packed + i * kStrideWords);
    return;
  }
  const int64_t words = (count + Words::kPerWord - 1) / Words::kPerWord;
  uint32_t* spare = scratch + W * rows;
  for (int64_t w = 0; w < words; w += W) {
    const int64_t height = words - w < W ? words - w : W;
    for (int64_t i = 0; i < height; i++) {
      const int64_t k = (w + i) * Words::kPerWord;
      const typename Words::Row row(view, k0 + k, k + 1 == count, row0, rows, spare);
      uint32_t* to = scratch + i * rows;
      int64_t r = 0;
      for (; r + W <= rows; r += W) storei(to + r, row.at(r));
      for (; r < rows; r++) to[r] = row.oneAt(r);
    }
    transposeWords(scratch, rows, height, rows, packed + w, kStrideWords);
  }
}

#ifdef PEFT_HAS_BF16
/** Whether rows start at block boundaries and a panel of two lies in one block, as for
 * `packFourBitColumns`. */
inline bool hasWholeBlocks(const MatrixView& view, int64_t column0, int64_t columns) {
  const int64_t mask = (int64_t{1} << view.blockShift) - 1;
  return isFourBit(view.format) && view.blockShift >= 6 && (view.stride & mask) == 0 &&
         (column0 & 63) == 0 && (columns & 63) == 0;
}

/** packV of a 4-bit matrix [k, columns] with whole blocks: two rows are looked up and interleaved
 * in registers. */
inline void packFourBitColumns(const MatrixView& view, int64_t column0, int64_t columns, int64_t k0,
                               int64_t count, uint32_t* packed) {
  const __m512 values = _mm512_load_ps(fourBitValues(view.format));
  const int64_t words = (count + 1) / 2;
  const uint8_t* bytes = static_cast<const uint8_t*>(view.data);
  auto tableOf = [&](int64_t element) {
    return scaledTable(values, view, element >> view.blockShift);
  };
  auto lookUp = [&](int64_t element, __m512i table) {
    return lookUpFourBit(bytes + (element >> 1), table);
  };
  for (int64_t w = 0; w < words; w++) {
    const int64_t even = (k0 + 2 * w) * view.stride + column0, odd = even + view.stride;
    const bool last = 2 * w + 1 == count;
    for (int64_t c = 0; c < columns; c += 64) {
      const __m512i evenTable = tableOf(even + c),
                    oddTable = last ? _mm512_setzero_si512() : tableOf(odd + c);
      for (int64_t i = c; i < c + 64; i += 32) {
        const __m512i a = lookUp(even + i, evenTable),
                      b = last ? _mm512_setzero_si512() : lookUp(odd + i, oddTable);
        storeZipped(packed + i * words + w * 32, a, b);
      }
    }
  }
}
#endif

template <class Words>
void packV(const MatrixView& view, bool transposed, int64_t column0, int64_t columns, int64_t k0,
           int64_t count, uint32_t* packed, uint32_t* scratch) {
  constexpr int64_t width = kPanelWords;
  const int64_t words = (count + Words::kPerWord - 1) / Words::kPerWord;
#ifdef PEFT_HAS_BF16
  if (Words::kPerWord == 2 && !transposed && hasWholeBlocks(view, column0, columns))
    return packFourBitColumns(view, column0, columns, k0, count, packed);
#endif
  if (!transposed) {
    const int64_t whole = columns / width * width;
    for (int64_t w = 0; w < words; w++) {
      const int64_t k = w * Words::kPerWord;
      const typename Words::Row row(view, k0 + k, k + 1 == count, column0, columns, scratch);
      uint32_t* to = packed + w * width;
      for (int64_t c = 0; c < whole; c += width, to += words * width) row.copyPanel(c, to);
      if (whole < columns)
        for (int64_t i = 0; i < width; i++) to[i] = whole + i < columns ? row.oneAt(whole + i) : 0;
    }
    return;
  }
  for (int64_t c = 0; c < columns; c += width, packed += words * width) {
    const int64_t height = columns - c < width ? columns - c : width;
    turnPanel<Words>(view, column0 + c, height, k0, count, packed, scratch);
  }
}

}  // namespace peft::PEFT_ISA
