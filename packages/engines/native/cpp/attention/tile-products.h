// Shorthands for the small products inside attention. Operands are parts of row-major float32
// matrices.
#pragma once
#include "../core/arena.h"
#include "../core/dispatch.h"

namespace peft {

constexpr int64_t kQueryBlock = 128;
constexpr int64_t kKeyBlock = 256;

/** Hands out parts of one scratch block, each 64-byte aligned. */
class Parts {
 public:
  Parts(Scratch purpose, int64_t floats) : next_(scratch<float>(purpose, floats + 16 * 32)) {}
  float* floats(int64_t count) {
    float* part = next_;
    next_ += (count + 15) / 16 * 16;
    return part;
  }
  uint32_t* words(int64_t count) { return reinterpret_cast<uint32_t*>(floats(count)); }

 private:
  float* next_;
};

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

  /** Broadcast operand: `rows` rows of `depth` elements. */
  void packRows(const float* data, int64_t stride, int64_t rows, int64_t depth,
                uint32_t* out) const {
    k.packS(denseView(data, stride), false, 0, rows, 0, depth, out, spare);
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
    k.packV(denseView(data, stride), true, 0, columns, 0, depth, out, spare);
  }

  void multiply(int64_t rows, int64_t columns, int64_t depth, const uint32_t* s, const uint32_t* v,
                float* sums, int64_t sumRows, bool accumulate) const {
    k.multiply(rows, columns, words(depth), s, v, sums, sumRows, accumulate);
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
