// Rotary positions of one row of heads.
#pragma once
#include <cstdint>
#include "map.h"

namespace peft::PEFT_ISA {

/**
 * Pairs (2i, 2i+1) of a head turn; elements from 2·half on pass. y may be x. The lanes of a pair
 * stand side by side, so this one is left to the compiler.
 */
inline void ropePairs(const float* x, const float* cos, const float* sin, float* y, int64_t heads,
                      int64_t size, int64_t half, float direction) {
  for (int64_t h = 0; h < heads; h++, x += size, y += size) {
    for (int64_t i = 0; i < half; i++) {
      const float a = x[2 * i], b = x[2 * i + 1], c = cos[i], s = sin[i] * direction;
      y[2 * i] = a * c - b * s;
      y[2 * i + 1] = b * c + a * s;
    }
    if (x != y) map1(x + 2 * half, y + 2 * half, size - 2 * half, [](vf a) { return a; });
  }
}

/** x, y [heads, size]; cos, sin [half]; elements from 2·half on of a head pass. y may be x. */
inline void ropeRow(const float* x, const float* cos, const float* sin, float* y, int64_t heads,
                    int64_t size, int64_t half, float direction) {
  const vf sign = set(direction);
  for (int64_t h = 0; h < heads; h++, x += size, y += size) {
    for (int64_t i = 0; i < half; i += W) {
      const int64_t lanes = half - i < W ? half - i : W;
      const vf a = loadn(x + i, lanes), b = loadn(x + half + i, lanes), c = loadn(cos + i, lanes),
               s = loadn(sin + i, lanes) * sign;
      storen(y + i, a * c - b * s, lanes);
      storen(y + half + i, b * c + a * s, lanes);
    }
    if (x != y) map1(x + 2 * half, y + 2 * half, size - 2 * half, [](vf a) { return a; });
  }
}

}  // namespace peft::PEFT_ISA
