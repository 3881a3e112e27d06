// The position tables by distance, and the position terms of a tile.
//
// `side` keys: rows are queries i, columns keys j, distance index e = j − i + T − 1.
// `side` queries: rows are keys j, columns queries i, e = i − j + T − 1.
#pragma once
#include <algorithm>
#include <optional>

#include "disentangled.h"
#include "tile-products.h"

namespace peft {

constexpr int64_t kSquareBlock = 128;                  // queries and keys of a tile
constexpr int64_t kTermWidth = 2 * kSquareBlock + 64;  // floats of a row of a position term
constexpr int64_t kPad = 64;          // zeros on both sides of a row of score gradients
constexpr int64_t kPanelsAtOnce = 4;  // tiles of positions packed together: at most kPad rows
static_assert(kPanelsAtOnce * kMostTileRows <= kPad);

class PositionTable {
 public:
  /** Table `rows` [S, H·E] read through `index`; `towardsKeys` for the key side. Absent when `rows`
   * is null. */
  PositionTable(const DisentangledProblem& p, const float* rows, const int32_t* index,
                int64_t length, bool towardsKeys, int64_t longestSequence)
      : p_(p),
        rows_(rows),
        index_(index),
        length_(length),
        direction_(towardsKeys ? -1 : 1),
        reach_(std::max<int64_t>(longestSequence - 1, 0)) {}

  bool present() const { return rows_ != nullptr; }
  int64_t distances() const { return 2 * reach_ + 1; }
  /** Index of distance column − row. */
  int64_t at(int64_t distance) const { return distance + reach_; }
  /** Row of the table for index e. */
  int64_t tableRow(int64_t e) const {
    return index_[std::clamp<int64_t>(direction_ * (e - reach_) + p_.relativeOrigin, 0,
                                      length_ - 1)];
  }

  int64_t expandedFloats() const { return present() ? p_.heads * distances() * p_.headSize : 0; }
  int64_t packedWords(const TileProducts& products) const {
    return present() ? p_.heads * products.padded(distances()) * products.words(p_.headSize) : 0;
  }

  void place(float* expanded, uint32_t* packed) {
    expanded_ = expanded;
    packed_ = packed;
  }

  /** Lays out one head; packs it for scores too where `packed` was placed. */
  void prepare(const TileProducts& products, int64_t head) {
    float* to = expanded_ + head * distances() * p_.headSize;
    for (int64_t e = 0; e < distances(); e++)
      std::copy_n(rows_ + tableRow(e) * p_.width() + head * p_.headSize, p_.headSize,
                  to + e * p_.headSize);
    uint32_t* packed = packed_ + head * products.padded(distances()) * products.words(p_.headSize);
    for (int64_t e = 0; e < distances(); e += products.k.tileColumns) {
      products.packColumnsTransposed(to + e * p_.headSize, p_.headSize,
                                     std::min<int64_t>(products.k.tileColumns, distances() - e),
                                     p_.headSize, packed + e * products.words(p_.headSize));
    }
  }

  const float* expanded(int64_t head) const { return expanded_ + head * distances() * p_.headSize; }

  /**
   * The products of packed content rows with the positions that a tile needs. `first` is the
   * distance (column − row) of the tile's first element. Element (r, c) is then at
   * result[r·(kTermWidth − 1) + c].
   */
  const float* term(const TileProducts& products, int64_t head, const uint32_t* content,
                    int64_t rows, int64_t columns, int64_t first, float* buffer,
                    float* sums) const {
    const int64_t panel = products.k.tileColumns, wordsOfRow = products.words(p_.headSize);
    const uint32_t* packed = packed_ + head * products.padded(distances()) * wordsOfRow;
    const int64_t lowest =
        at(first - (rows - 1)) / panel * panel;  // what column 0 of the buffer holds
    for (int64_t r = 0; r < rows; r += products.k.tileRows) {
      const int64_t height = std::min<int64_t>(products.k.tileRows, rows - r);
      const int64_t from = at(first - (r + height - 1)) / panel * panel,
                    to = at(first - r) + columns;
      products.multiply(height, to - from, p_.headSize, content + r * kStrideWords,
                        packed + from * wordsOfRow, sums, height, false);
      products.k.store(sums, height, height, to - from, buffer + r * kTermWidth + (from - lowest),
                       kTermWidth, nullptr, false);
    }
    return buffer + at(first) - lowest;
  }

 private:
  const DisentangledProblem& p_;
  const float* rows_;
  const int32_t* index_;
  int64_t length_, direction_, reach_;
  float* expanded_ = nullptr;
  uint32_t* packed_ = nullptr;
};

/** Both tables of a call, laid out in memory of the calling thread. */
struct PositionTables {
  PositionTable keys, queries;
  std::optional<Parts> memory;

  PositionTables(const DisentangledProblem& p, int64_t longestSequence)
      : keys(p, p.positionKeys, p.contentToPosition, p.contentToPositionLength, true,
             longestSequence),
        queries(p, p.positionQueries, p.positionToContent, p.positionToContentLength, false,
                longestSequence) {}
};

/** Lays out both tables; by all threads. */
void preparePositions(const DisentangledProblem& p, PositionTables& tables);

}  // namespace peft
