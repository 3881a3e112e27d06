// The scores of one tile of disentangled attention.
#pragma once
#include "blocks.h"
#include "position-tables.h"

namespace peft {

/** Scratch for scores: products and the two position terms. */
struct DisentangledScores {
  float *products, *keyTerm, *queryTerm, *transposed, *termSums;

  static int64_t floats(const TileProducts& t) {
    return kSquareBlock * t.padded(kSquareBlock) + 2 * kSquareBlock * kTermWidth +
           kSquareBlock * kStrideWords + 16 * 2 * kTermWidth;
  }
  DisentangledScores(Parts& parts, const TileProducts& t)
      : products(parts.floats(kSquareBlock * t.padded(kSquareBlock))),
        keyTerm(parts.floats(kSquareBlock * kTermWidth)),
        queryTerm(parts.floats(kSquareBlock * kTermWidth)),
        transposed(parts.floats(kSquareBlock * kStrideWords)),
        termSums(parts.floats(16 * 2 * kTermWidth)) {}

  /**
   * @param queries, keys packed content rows; keysT the keys as vector operand.
   * @param begin, keyBegin positions of the tile within the sequence.
   */
  ScoreTile tile(const DisentangledProblem& p, const PositionTables& tables, const TileProducts& t,
                 int64_t head, const uint32_t* queries, const uint32_t* keys, const uint32_t* keysT,
                 int64_t begin, int64_t rows, int64_t keyBegin, int64_t columns, int64_t queryRow,
                 int64_t longestSequence) const {
    ScoreTile tile;
    tile.rows = rows;
    tile.columns = columns;
    tile.products = products;
    tile.productRows = rows;
    tile.scale = p.scale;
    t.multiply(rows, columns, p.headSize, queries, keysT, products, rows, false);
    if (tables.keys.present()) {
      tile.additions[0] =
          tables.keys.term(t, head, queries, rows, columns, keyBegin - begin, keyTerm, termSums);
      tile.additionStrides[0] = kTermWidth - 1;
    }
    if (tables.queries.present()) {
      const float* term =
          tables.queries.term(t, head, keys, columns, rows, begin - keyBegin, queryTerm, termSums);
      kernels().transposeWords(reinterpret_cast<const uint32_t*>(term), kTermWidth - 1, columns,
                               rows, reinterpret_cast<uint32_t*>(transposed), kStrideWords);
      tile.additions[1] = transposed;
      tile.additionStrides[1] = kStrideWords;
    }
    setDropout(tile, p.rate, p.key0, p.key1, queryRow, p.heads, head, longestSequence, keyBegin);
    return tile;
  }
};

}  // namespace peft
