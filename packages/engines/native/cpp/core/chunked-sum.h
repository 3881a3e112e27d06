// Sums over rows that do not depend on the number of threads: chunks of a fixed number of rows,
// each summed in order into its own partial result, and the partial results added in order.
#pragma once
#include <algorithm>
#include <cstdint>

#include "arena.h"
#include "dispatch.h"
#include "thread-pool.h"

namespace peft {

/** At most 64 chunks of at least 32 rows. */
inline int64_t rowsPerChunk(int64_t rows) {
  return std::max<int64_t>(32, (rows + 63) / 64);
}

/**
 * Calls `body(begin, end, partial)` for each chunk of rows, `partial` [width] being zeroed, and
 * leaves the sum of all partials in `sums` [width]. With width 0 only the calls are made.
 */
template <class Body>
void sumOverRows(int64_t rows, int64_t width, float* sums, Body&& body) {
  const int64_t step = rowsPerChunk(rows), chunks = (rows + step - 1) / step;
  const KernelTable& table = kernels();
  float* partials = scratch<float>(Scratch::kPartial, std::max<int64_t>(chunks * width, 1));
  parallel(chunks, [&](int64_t chunk) {
    float* partial = partials + chunk * width;
    table.fillRun(partial, width, 0.0f);
    body(chunk * step, std::min(rows, (chunk + 1) * step), partial);
  });
  if (width == 0) return;
  parallelRanges(width, 4096, 16, [&](int64_t begin, int64_t end) {
    table.fillRun(sums + begin, end - begin, 0.0f);
    for (int64_t chunk = 0; chunk < chunks; chunk++)
      table.addRun(partials + chunk * width + begin, sums + begin, end - begin);
  });
}

}  // namespace peft
