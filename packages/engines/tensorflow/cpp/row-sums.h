// Sums over rows on several cores.
#pragma once
#include <algorithm>
#include <vector>
#include "parallel.h"

namespace peft {

/**
 * total [width] = what body(begin, end, sums) adds to `sums` over all rows. Pieces of 64 rows have
 * sums of their own, which are added in order, so that threads change no bit.
 */
template <class Body>
void sumPieces(int64_t rows, int64_t width, float* total, const Body& body) {
  constexpr int64_t kRows = 64;
  std::vector<float> partial(static_cast<size_t>((rows + kRows - 1) / kRows * width), 0.0f);
  forRanges(rows, kRows, [&](int64_t begin, int64_t end) {
    body(begin, end, partial.data() + begin / kRows * width);
  });
  std::fill(total, total + width, 0.0f);
  for (size_t piece = 0; piece < partial.size(); piece += static_cast<size_t>(width)) {
    for (int64_t i = 0; i < width; i++) total[i] += partial[piece + static_cast<size_t>(i)];
  }
}

}  // namespace peft
