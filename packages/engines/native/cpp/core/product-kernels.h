// What a set of instructions provides for matrix products.
//
// A product is out[s, v] = Σ_k S[s, k]·V[v, k]. S is the operand that is broadcast, V the one that
// fills vectors. Both are packed in words of 32 bits along k: one float32, or two bf16 (k and k+1).
//   packed S: [rows][kStrideWords], row s at s·kStrideWords
//   packed V: panels of `tileColumns` columns, [panel][words][tileColumns]
//   sums:     panels as V's, [panel][rows][tileColumns]
#pragma once
#include <cstdint>
#include "matrix-view.h"

namespace peft {

/** Words of k that one pass takes, and the distance of packed rows: not a power of two, so that
 * rows fall into different cache sets. */
constexpr int64_t kPassWords = 384;
constexpr int64_t kStrideWords = kPassWords + 16;

/** Words of scratch that `packS` and `packV` need for `width` rows or columns. */
static inline int64_t packScratchWords(int64_t width) {
  return (width + 64) * kStrideWords;
}

constexpr int64_t kMostTileRows = 16;

/** The most rows of S that `multiplyFew` takes. */
constexpr int64_t kMostFewRows = 64;

/** How a depth is cut into passes: of equal length, but the last. Sums of a pass start at 0. */
struct Passes {
  int64_t depth, perWord;
  int64_t words, count, length;  // words in all, passes, words of a pass

  Passes(int64_t elements, int64_t elementsPerWord) : depth(elements), perWord(elementsPerWord) {
    words = (depth + perWord - 1) / perWord;
    count = words > kPassWords ? (words + kPassWords - 1) / kPassWords : 1;
    length = ((words + count - 1) / count + 15) / 16 * 16;
    if (length < 1) length = 1;
    if (length > kPassWords) length = kPassWords;
    count = words > length ? (words + length - 1) / length : 1;
  }
  int64_t wordsOf(int64_t pass) const {
    const int64_t rest = words - pass * length;
    return rest < length ? rest : length;
  }
  int64_t depthBegin(int64_t pass) const { return pass * length * perWord; }
  int64_t depthEnd(int64_t pass) const {
    const int64_t end = depthBegin(pass + 1);
    return end < depth ? end : depth;
  }
};

struct ProductKernels {
  int tileRows;   // at most kMostTileRows
  int blockRows;  // blocks of S are cut at multiples of these
  int tileColumns;
  int elementsPerWord;  // 1 or 2
  int fewRows;          // up to so many rows of S `multiplyFew` is to be preferred

  /**
   * Packs rows [row0, row0+rows) of S for k in [k0, k0+count). `view` holds S as [rows, k], or as
   * [k, rows] when `transposed`.
   */
  void (*packS)(const MatrixView& view, bool transposed, int64_t row0, int64_t rows, int64_t k0,
                int64_t count, uint32_t* packed, uint32_t* scratch);

  /** Packs columns of V; `view` holds V as [k, columns], or as [columns, k] when `transposed`.
   * Lanes past the end are 0. */
  void (*packV)(const MatrixView& view, bool transposed, int64_t column0, int64_t columns,
                int64_t k0, int64_t count, uint32_t* packed, uint32_t* scratch);

  /** sums = (accumulate ? sums : 0) + S·V for rows × columns. `sumRows` is the distance of sum
   * panels in rows. */
  void (*multiply)(int64_t rows, int64_t columns, int64_t words, const uint32_t* s,
                   const uint32_t* v, float* sums, int64_t sumRows, bool accumulate);

  /** The same into rows of a matrix, out[s·stride + v]; `columns` are whole panels. */
  void (*multiplyInto)(int64_t rows, int64_t columns, int64_t words, const uint32_t* s,
                       const uint32_t* v, float* out, int64_t stride, bool accumulate);

  /**
   * sums = S·V over the whole depth for at most kMostFewRows rows; V is stored [columns, k], read
   * once and not packed. `s` is [pass][rows][kStrideWords]; `scratch` as for packV of
   * 2·tileColumns.
   */
  void (*multiplyFew)(const MatrixView& view, int64_t column0, int64_t columns,
                      const Passes& passes, int64_t rows, const uint32_t* s, float* sums,
                      int64_t sumRows, uint32_t* scratch);

  /**
   * As `multiply` (or, where sumRows is 0, `multiplyInto`), with rows [row0, row0+rows) of a bf16
   * matrix [rows, k], elements [k0, k0+count), in the place of packed S. Null where there is none.
   */
  void (*multiplyStored)(const MatrixView& s, int64_t row0, int64_t rows, int64_t k0, int64_t count,
                         int64_t columns, const uint32_t* v, float* sums, int64_t sumRows,
                         int64_t stride, bool accumulate);

  /** out[s·stride + v] (+)= sums + bias[v]. */
  void (*store)(const float* sums, int64_t sumRows, int64_t rows, int64_t columns, float* out,
                int64_t stride, const float* bias, bool accumulate);

  /** out[v·stride + s] (+)= sums + bias[s]. */
  void (*storeTransposed)(const float* sums, int64_t sumRows, int64_t rows, int64_t columns,
                          float* out, int64_t stride, const float* bias, bool accumulate);
};

}  // namespace peft
