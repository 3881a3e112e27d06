// Shorthands for the small products inside attention. Operands are parts of row-major float32
// matrices.
#pragma once
#include <algorithm>

#include "../core/arena.h"
#include "../core/dispatch.h"
#include "../core/parts.h"

namespace peft {

constexpr int64_t kQueryBlock = 128;
constexpr int64_t kKeyBlock = 256;

struct TileProducts {
  const ProductKernels& k;
  uint32_t* spare;  // packScratchWords of the widest operand

  TileProducts(bool bf16, int64_t widest)
      : k(bf16 ? kernels().bf16 : kernels().f32),
        spare(scratch<uint32_t>(Scratch::kDecode, packScratchWords(widest))) {}

  int64_t words(int64_t depth) const { return (depth + k.elementsPerWord - 1) / k.elementsPerWord; }
  int64_t padded(int64_t columns) const {
    return (columns + k.tileColumns - 1) / k.tileColumns * k.tileColumns;
  }

  /** Elements of the depth that one pass takes: kPassWords words. */
  int64_t passDepth() const { return kPassWords * k.elementsPerWord; }
  /** Words that `packRows` fills: [pass][rows][kStrideWords]. */
  int64_t rowWords(int64_t rows, int64_t depth) const {
    return (depth + passDepth() - 1) / passDepth() * rows * kStrideWords;
  }

  /** Broadcast operand: `rows` rows of `depth` elements. */
  void packRows(const float* data, int64_t stride, int64_t rows, int64_t depth,
                uint32_t* out) const {
    for (int64_t from = 0; from < depth; from += passDepth(), out += rows * kStrideWords)
      k.packS(denseView(data, stride), false, 0, rows, from, std::min(passDepth(), depth - from),
              out, spare);
  }
  /** Broadcast operand: the columns of a matrix [depth, rows]. */
  void packRowsTransposed(const float* data, int64_t stride, int64_t rows, int64_t depth,
                          uint32_t* out) const {
    k.packS(denseView(data, stride), true, 0, rows, 0, depth, out, spare);
  }
  /** Vector operand: a matrix [depth, columns]. */
  void packColumns(const float* data, int64_t stride, int64_t columns, int64_t depth,
                   uint32_t* out) const {
    k.packV(denseView(data, stride), false, 0, columns, 0, depth, out, spare);
  }
  /** Vector operand: a matrix [columns, depth]. */
  void packColumnsTransposed(const float* data, int64_t stride, int64_t columns, int64_t depth,
                             uint32_t* out) const {
    for (int64_t from = 0; from < depth; from += passDepth(), out += kPassWords * padded(columns))
      k.packV(denseView(data, stride), true, 0, columns, from, std::min(passDepth(), depth - from),
              out, spare);
  }

  /** Operands deeper than a pass have exactly these rows and columns. */
  void multiply(int64_t rows, int64_t columns, int64_t depth, const uint32_t* s, const uint32_t* v,
                float* sums, int64_t sumRows, bool accumulate) const {
    int64_t rest = words(depth);
    k.multiply(rows, columns, std::min(kPassWords, rest), s, v, sums, sumRows, accumulate);
    while ((rest -= kPassWords) > 0) {
      s += rows * kStrideWords;
      v += kPassWords * padded(columns);
      k.multiply(rows, columns, std::min(kPassWords, rest), s, v, sums, sumRows, true);
    }
  }

  /** As `multiply` of the first `depth` elements of a vector operand that was packed deeper, both
   * of one pass. */
  void multiplyFirst(int64_t rows, int64_t columns, int64_t depth, int64_t packedDepth,
                     const uint32_t* s, const uint32_t* v, float* sums, int64_t sumRows) const {
    if (depth == packedDepth)
      return k.multiply(rows, columns, words(depth), s, v, sums, sumRows, false);
    for (int64_t c = 0; c < columns; c += k.tileColumns)
      k.multiply(rows, std::min<int64_t>(k.tileColumns, columns - c), words(depth), s,
                 v + c * words(packedDepth), sums + c * sumRows, sumRows, false);
  }

  /** Rows of kStrideWords floats as a broadcast operand: as they are, or rounded to bf16 in
   * `packed`. */
  const uint32_t* rowsOf(const float* matrix, int64_t rows, int64_t depth, uint32_t* packed) const {
    if (k.elementsPerWord == 1) return reinterpret_cast<const uint32_t*>(matrix);
    packRows(matrix, kStrideWords, rows, depth, packed);
    return packed;
  }
};

}  // namespace peft
