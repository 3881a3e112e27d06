// Loops on several cores. Which thread runs a piece never changes what it computes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>

namespace peft {

/** Threads that take part, the caller included; once, before the first loop. */
void setThreads(int count);

/** Calls body(piece) for 0 … pieces−1 and returns when all are done. `body` must not throw. */
void forPieces(int64_t pieces, const std::function<void(int64_t)>& body);

/** body(begin, end) over [0, count) in pieces of `length`. */
template <class Body>
void forRanges(int64_t count, int64_t length, const Body& body) {
  const int64_t pieces = (count + length - 1) / length;
  forPieces(pieces,
            [&](int64_t piece) { body(piece * length, std::min(count, (piece + 1) * length)); });
}

/** Rows of `width` elements in a piece: some ten thousand elements, so that a piece is worth a call
 * and stays in the cache. */
inline int64_t rowsOfPiece(int64_t width) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, width));
}

}  // namespace peft
