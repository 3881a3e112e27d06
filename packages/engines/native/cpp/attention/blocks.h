// How attention is cut into tiles, and what of a tile can be seen.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "attention.h"
#include "tile-products.h"

namespace peft {

struct QueryBlock {
  int64_t sequence, begin, rows;  // rows [begin, begin + rows) of the sequence's queries
};

inline std::vector<QueryBlock> queryBlocks(const int32_t* offsets, int64_t sequences) {
  std::vector<QueryBlock> blocks;
  for (int64_t b = 0; b < sequences; b++) {
    const int64_t length = offsets[b + 1] - offsets[b];
    for (int64_t begin = 0; begin < length; begin += kQueryBlock)
      blocks.push_back({b, begin, std::min(kQueryBlock, length - begin)});
  }
  return blocks;
}

/** Keys (or extra keys) of one tile. `column` counts extra keys first. */
struct KeyBlock {
  bool extra;
  int64_t begin, columns, column;
};

inline int64_t longest(const int32_t* offsets, int64_t sequences) {
  int64_t most = 0;
  for (int64_t b = 0; b < sequences; b++)
    most = std::max<int64_t>(most, offsets[b + 1] - offsets[b]);
  return most;
}

/** The queries of one sequence and block against all keys. */
class TileBounds {
 public:
  TileBounds(const AttentionProblem& p, int64_t sequence, int64_t begin, int64_t rows)
      : p_(p),
        keys_(p.keyOffsets[sequence + 1] - p.keyOffsets[sequence]),
        first_(begin + keys_ - (p.queryOffsets[sequence + 1] - p.queryOffsets[sequence])),
        rows_(rows) {}

  /** Number of keys of the sequence. */
  int64_t keys() const { return keys_; }
  /** Position of the block's first query among the keys. */
  int64_t firstPosition() const { return first_; }

  /** Sets what of the block each row sees, and cuts the tile to whole panels of columns that some
   * row sees. False: nothing. */
  bool see(const KeyBlock& block, ScoreTile& tile) const {
    tile.seenFrom = -kUnlimited;
    tile.seenTo = kUnlimited;
    if (!block.extra) {
      const int64_t half = p_.window / 2;
      if (p_.causal) tile.seenTo = first_ + 1 - block.begin;
      if (p_.window > 0)
        tile.seenFrom = (p_.causal ? first_ - p_.window + 1 : first_ - half) - block.begin;
      if (p_.window > 0 && !p_.causal) tile.seenTo = first_ + half + 1 - block.begin;
    }
    const int64_t end = tile.seenTo + rows_ - 1;
    if (end <= 0 || tile.seenFrom >= block.columns) return false;
    const int64_t panel = kernels().f32.tileColumns;
    tile.columns = std::min(block.columns, (end + panel - 1) / panel * panel);
    if (tile.seenTo >= tile.columns) tile.seenTo = kUnlimited;
    if (tile.seenFrom + rows_ - 1 <= 0) tile.seenFrom = -kUnlimited;
    return true;
  }

 private:
  const AttentionProblem& p_;
  int64_t keys_, first_, rows_;
};

inline std::vector<KeyBlock> keyBlocks(const AttentionProblem& p, int64_t keys) {
  std::vector<KeyBlock> blocks;
  for (int64_t begin = 0; begin < p.extra; begin += kKeyBlock)
    blocks.push_back({true, begin, std::min(kKeyBlock, p.extra - begin), begin});
  for (int64_t begin = 0; begin < keys; begin += kKeyBlock)
    blocks.push_back({false, begin, std::min(kKeyBlock, keys - begin), p.extra + begin});
  return blocks;
}

/** Column of the bias table for distance t = key − query. */
inline int64_t biasColumn(const AttentionProblem& p, int64_t t) {
  return p.biasIndex[std::clamp<int64_t>(t + p.biasOrigin, 0, p.biasIndexLength - 1)];
}

/** Fills `line` [rows + columns − 1] with the bias of each distance of a tile, and points the tile
 * at it. */
inline void layBias(const AttentionProblem& p, int64_t head, const KeyBlock& block,
                    const TileBounds& bounds, ScoreTile& tile, float* line) {
  tile.bias = nullptr;
  if (!p.bias || block.extra) return;
  const int64_t shift = block.begin - bounds.firstPosition();
  for (int64_t i = 0; i < tile.rows + tile.columns - 1; i++)
    line[i] = p.bias[head * p.biasColumns + biasColumn(p, i - (tile.rows - 1) + shift)];
  tile.bias = line + tile.rows - 1;
}

inline void setDropout(ScoreTile& tile, float rate, uint32_t key0, uint32_t key1, int64_t queryRow,
                       int64_t heads, int64_t head, int64_t stride, int64_t column) {
  if (rate <= 0) return;
  tile.rate = rate;
  tile.kept = static_cast<float>(1.0 / (1.0 - static_cast<double>(rate)));
  tile.key0 = key0;
  tile.key1 = key1;
  tile.firstNumber = static_cast<uint32_t>((queryRow * heads + head) * stride + column);
  tile.numberStride = static_cast<uint32_t>(heads * stride);
}

/** A tile of `block` for queries that start at row `queryRow` of all. */
inline ScoreTile scoreTile(const AttentionProblem& p, const KeyBlock& block, int64_t rows,
                           int64_t queryRow, int64_t head, int64_t longestKeys,
                           const float* products) {
  ScoreTile tile;
  tile.rows = rows;
  tile.columns = block.columns;
  tile.products = products;
  tile.productRows = rows;
  tile.scale = p.scale;
  tile.softCap = p.softCap;
  setDropout(tile, p.rate, p.key0, p.key1, queryRow, p.heads, head, p.extra + longestKeys,
             block.column);
  return tile;
}

/** Running softmax of the rows of a block. */
struct RunningSoftmax {
  float maximum[kQueryBlock], total[kQueryBlock], rescale[kQueryBlock];

  explicit RunningSoftmax(int64_t rows) {
    std::fill(maximum, maximum + rows, -INFINITY);
    std::fill(total, total + rows, 0.0f);
  }

  /** Divides the result by the totals and writes logΣexp, `stride` apart. */
  void finish(const KernelTable& table, int64_t rows, float* result, int64_t columns,
              float* logSumExp, int64_t stride) {
    float logarithms[kQueryBlock];
    table.unaryRun(Unary::log, total, logarithms, rows);
    for (int64_t r = 0; r < rows; r++) {
      rescale[r] = total[r] > 0 || total[r] != total[r] ? 1.0f / total[r] : 0.0f;
      logSumExp[r * stride] =
          total[r] > 0 || total[r] != total[r] ? maximum[r] + logarithms[r] : -INFINITY;
    }
    table.attention.scaleRows(result, rows, rows, columns, rescale);
  }
};

}  // namespace peft
