// Rows of a matrix that become lanes of a panel.
#pragma once
#include <cstdint>
#include "decode.h"
#include "transpose.h"

#if defined(__GNUC__)
#define PEFT_ALWAYS_INLINE __attribute__((always_inline)) inline
#else
#define PEFT_ALWAYS_INLINE inline
#endif

namespace peft::PEFT_ISA {

/** Words of one row of a packed panel of V. */
constexpr int64_t kPanelWords = W * kTileVectors;

/** Rows [row0, row0+kPanelWords) of a stored matrix, elements from k0 on. */
struct StoredRows {
  const MatrixView& view;
  int64_t row0, k0;
  /** Elements from one that is read to the one that is read in its place the next time; 0 where
   * there is none. */
  int64_t ahead = 0;

  int64_t first(int64_t row) const { return (row0 + row) * view.stride + k0; }
  template <class T>
  const T* at(int64_t row) const {
    return static_cast<const T*>(view.data) + first(row);
  }
  /** Of 4-bit values: `of` the block that element `k` of each of W rows lies in. */
  template <class Of>
  vf ofBlocks(int64_t row, int64_t k, Of of) const {
    float each[W];
    for (int64_t i = 0; i < W; i++) each[i] = of(view, (first(row + i) + k) >> view.blockShift);
    return load(each);
  }
  /**
   * Asks for what is read after element `k` of each of W rows, from `row` on, the next time: rows
   * lie too far apart for the processor to guess. Always inlined, since GCC takes a function that
   * does nothing else for one without effects, and leaves calls of it out.
   */
  PEFT_ALWAYS_INLINE void askAhead(int64_t row, int64_t k) const {
#if defined(__GNUC__)
    if (ahead == 0) return;
    const int64_t bits = storedBits(view.format), step = view.stride * bits / 8;
    uintptr_t at = reinterpret_cast<uintptr_t>(view.data) +
                   static_cast<uintptr_t>((first(row) + k + ahead) * bits / 8);
    PEFT_UNROLL
    for (int i = 0; i < W; i++, at += static_cast<uintptr_t>(step))
      __builtin_prefetch(reinterpret_cast<const void*>(at), 0, 2);
#endif
  }
  int64_t blockMask() const {
    return (int64_t{1} << view.blockShift) - 1;
  }
};

}  // namespace peft::PEFT_ISA
