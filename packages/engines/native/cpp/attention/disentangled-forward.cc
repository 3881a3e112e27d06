#include "../core/thread-pool.h"
#include "disentangled-tile.h"

namespace peft {

void preparePositions(const DisentangledProblem& p, PositionTables& tables) {
  const TileProducts layout(p.bf16, 64);
  tables.memory.emplace(Scratch::kAttentionShared,
                        tables.keys.expandedFloats() + tables.keys.packedWords(layout) +
                            tables.queries.expandedFloats() + tables.queries.packedWords(layout));
  for (PositionTable* table : {&tables.keys, &tables.queries}) {
    if (!table->present()) continue;
    float* expanded = tables.memory->floats(table->expandedFloats());
    table->place(expanded, tables.memory->words(table->packedWords(layout)));
  }
  parallel(2 * p.heads, [&](int64_t task) {
    PositionTable& table = task % 2 == 0 ? tables.keys : tables.queries;
    if (table.present()) table.prepare(TileProducts(p.bf16, 64), task / 2);
  });
}

namespace {

void forwardBlock(const DisentangledProblem& p, const PositionTables& tables,
                  const QueryBlock& block, int64_t head, int64_t longestSequence, float* y,
                  float* logSumExp) {
  const KernelTable& table = kernels();
  const int64_t size = p.headSize, rows = block.rows, width = p.width();
  const TileProducts products(p.bf16, std::max(kSquareBlock, size));
  const int64_t head32 = products.padded(size), keys32 = products.padded(kSquareBlock);
  Parts parts(Scratch::kAttentionA, kSquareBlock * kStrideWords * 4 + keys32 * size +
                                        kSquareBlock * head32 + rows * head32 +
                                        DisentangledScores::floats(products));
  uint32_t* queries = parts.words(kSquareBlock * kStrideWords);
  uint32_t* keyRows = parts.words(kSquareBlock * kStrideWords);
  uint32_t* keysT = parts.words(keys32 * size);
  uint32_t* packedValues = parts.words(kSquareBlock * head32);
  float* probabilities = parts.floats(kSquareBlock * kStrideWords);
  uint32_t* packedProbabilities = parts.words(kSquareBlock * kStrideWords);
  float* result = parts.floats(rows * head32);
  const DisentangledScores scores(parts, products);

  const int64_t sequenceRow = p.offsets[block.sequence],
                length = p.offsets[block.sequence + 1] - sequenceRow,
                queryRow = sequenceRow + block.begin;
  products.packRows(p.q + queryRow * width + head * size, width, rows, size, queries);
  RunningSoftmax softmax(rows);
  for (int64_t begin = 0; begin < length; begin += kSquareBlock) {
    const int64_t columns = std::min(kSquareBlock, length - begin),
                  offset = (sequenceRow + begin) * width + head * size;
    products.packColumnsTransposed(p.k + offset, width, columns, size, keysT);
    if (tables.queries.present()) products.packRows(p.k + offset, width, columns, size, keyRows);
    const ScoreTile tile =
        scores.tile(p, tables, products, head, queries, keyRows, keysT, block.begin, rows, begin,
                    columns, queryRow, longestSequence);
    table.attention.forward(tile, probabilities, softmax.maximum, softmax.total, softmax.rescale);
    if (begin > 0) table.attention.scaleRows(result, rows, rows, size, softmax.rescale);
    products.packColumns(p.v + offset, width, size, columns, packedValues);
    products.multiply(rows, size, columns,
                      products.rowsOf(probabilities, rows, columns, packedProbabilities),
                      packedValues, result, rows, begin > 0);
  }
  softmax.finish(table, rows, result, size, logSumExp + queryRow * p.heads + head, p.heads);
  products.k.store(result, rows, rows, size, y + queryRow * width + head * size, width, nullptr,
                   false);
}

}  // namespace

void disentangledForward(const DisentangledProblem& p, float* y, float* logSumExp) {
  if (p.headSize == 0) return;
  const int64_t longestSequence = longest(p.offsets, p.sequences);
  PositionTables tables(p, longestSequence);
  preparePositions(p, tables);
  const std::vector<QueryBlock> blocks = queryBlocks(p.offsets, p.sequences);
  parallel(static_cast<int64_t>(blocks.size()) * p.heads, [&](int64_t task) {
    forwardBlock(p, tables, blocks[static_cast<size_t>(task / p.heads)], task % p.heads,
                 longestSequence, y, logSumExp);
  });
}

}  // namespace peft
