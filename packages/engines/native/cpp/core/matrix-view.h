// A matrix of any stored format, as the products read it. Owns nothing.
#pragma once
#include <cstdint>

namespace peft {

enum class Format : int {
  f32 = 0,
  f16 = 1,
  bf16 = 2,
  int8 = 3,
  nf4 = 4,
  fp4 = 5,
  int4 = 6,
  mxfp4 = 7
};

static inline bool isFourBit(Format format) {
  return format >= Format::nf4;
}

/**
 * data: f32, f16, bf16, int8: element (r, c) at r·stride + c. 4 bits: element i = r·stride + c in
 * byte i/2, even i in the high nibble. scale: int8: row maximum [rows]. 4 bits: maximum (nf4, fp4)
 * or scale of block i >> blockShift; with double quantisation null, and then maximum =
 * map[codes[block]]·nested[block / nestedBlockSize] + offset. zeros: int4: code of 0 in a block.
 */
struct MatrixView {
  Format format = Format::f32;
  const void* data = nullptr;
  int64_t stride = 0;  // elements from row to row
  const float* scale = nullptr;
  int blockShift = 6;  // blocks of 2^blockShift elements, 32 … 4096
  const uint8_t* codes = nullptr;
  const float* map = nullptr;  // [256]
  const float* nested = nullptr;
  int64_t nestedBlockSize = 256;
  float offset = 0;
  const uint8_t* zeros = nullptr;
};

static inline MatrixView denseView(const float* data, int64_t stride) {
  MatrixView view;
  view.data = data;
  view.stride = stride;
  return view;
}

static inline float blockMaximum(const MatrixView& view, int64_t block) {
  if (view.scale) return view.scale[block];
  // nearly always of 256, which saves a division for each block
  const int64_t nested = view.nestedBlockSize == 256 ? block >> 8 : block / view.nestedBlockSize;
  return view.map[view.codes[block]] * view.nested[nested] + view.offset;
}

/** Bits that an element takes. */
static inline int storedBits(Format format) {
  constexpr int kBits[] = {32, 16, 16, 8, 4, 4, 4, 4};
  return kBits[static_cast<int>(format)];
}

/** What is taken from the values of a block before they are scaled. */
static inline float blockZero(const MatrixView& view, int64_t block) {
  return view.zeros ? static_cast<float>(view.zeros[block]) : 0.0f;
}

/** `blockMaximum` of `count` blocks from `first` on, where they are stored or in `room`. */
static inline const float* blockMaxima(const MatrixView& view, int64_t first, int64_t count,
                                       float* room) {
  if (view.scale) return view.scale + first;
  for (int64_t i = 0; i < count;) {
    const int64_t nested = (first + i) / view.nestedBlockSize,
                  end = (nested + 1) * view.nestedBlockSize - first;
    for (const float factor = view.nested[nested]; i < count && i < end; i++)
      room[i] = view.map[view.codes[first + i]] * factor + view.offset;
  }
  return room;
}

}  // namespace peft
