// Transposition of 32-bit elements.
#pragma once
#include <cstdint>

#if defined(__GNUC__)
#define PEFT_UNROLL _Pragma("GCC unroll 16")
#else
#define PEFT_UNROLL
#endif

namespace peft::PEFT_ISA {

/** to[c·toStride + r] = from[r·fromStride + c] for r < rows, c < columns. */
inline void transposeWords(const uint32_t* from, int64_t fromStride, int64_t rows, int64_t columns,
                           uint32_t* to, int64_t toStride) {
  vi block[W];
  for (int64_t r = 0; r < rows; r += W) {
    const int64_t height = rows - r < W ? rows - r : W;
    for (int64_t c = 0; c < columns; c += W) {
      const int64_t width = columns - c < W ? columns - c : W;
      const uint32_t* source = from + r * fromStride + c;
      uint32_t* target = to + c * toStride + r;
      if (height == W && width == W) {
        for (int i = 0; i < W; i++) block[i] = loadi(source + i * fromStride);
        transposeLanes(block);
        for (int i = 0; i < W; i++) storei(target + i * toStride, block[i]);
      } else {
        for (int i = 0; i < W; i++)
          block[i] = i < height ? loadin(source + i * fromStride, width) : seti(0);
        transposeLanes(block);
        for (int i = 0; i < width; i++) storein(target + i * toStride, block[i], height);
      }
    }
  }
}

}  // namespace peft::PEFT_ISA
