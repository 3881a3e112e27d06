#include "../core/thread-pool.h"
#include "blocks.h"

namespace peft {
namespace {

/** Where the rows of a block of queries lie: consecutive queries of one head, or the heads that
 * share a key head, each with the one query of its sequence. */
struct Rows {
  int64_t count, head;
  int64_t stride;           // floats from row to row of q and y
  int64_t logSumExpStride;  // and of logSumExp
  int64_t step;             // positions from row to row
};

/** One block of queries. */
void forwardBlock(const AttentionProblem& p, const QueryBlock& block, const Rows& row,
                  int64_t longestKeys, float* y, float* logSumExp) {
  const KernelTable& table = kernels();
  const int64_t size = p.headSize, rows = row.count, keyWidth = p.keyWidth();
  const TileProducts products(p.bf16, std::max(kKeyBlock, size));
  const int64_t head32 = products.padded(size), keys32 = products.padded(kKeyBlock);
  Parts parts(Scratch::kAttentionA, products.rowWords(rows, size) + rows * kStrideWords * 2 +
                                        keys32 * size + kKeyBlock * head32 + rows * keys32 +
                                        rows * head32 + kQueryBlock + kKeyBlock);
  uint32_t* queries = parts.words(products.rowWords(rows, size));
  uint32_t* packedKeys = parts.words(keys32 * size);
  uint32_t* packedValues = parts.words(kKeyBlock * head32);
  float* scores = parts.floats(rows * keys32);
  float* probabilities = parts.floats(rows * kStrideWords);
  uint32_t* packedProbabilities = parts.words(rows * kStrideWords);
  float* result = parts.floats(rows * head32);
  float* biasLine = parts.floats(kQueryBlock + kKeyBlock);

  const int64_t queryRow = p.queryOffsets[block.sequence] + block.begin,
                keyRow = p.keyOffsets[block.sequence];
  const int64_t queryAt = queryRow * p.queryWidth() + row.head * size,
                keyColumn = p.keyHead(row.head) * size;
  const TileBounds bounds(p, block.sequence, block.begin, block.rows);
  products.packRows(p.q + queryAt, row.stride, rows, size, queries);
  RunningSoftmax softmax(rows);
  bool first = true;
  for (const KeyBlock& keys : keyBlocks(p, bounds.keys())) {
    ScoreTile tile = scoreTile(p, keys, rows, queryRow, row.head, longestKeys, scores);
    tile.rowStep = row.step;
    if (!bounds.see(keys, tile)) continue;
    const float* k = keys.extra ? p.extraKeys : p.k + keyRow * keyWidth;
    const float* v = keys.extra ? p.extraValues : p.v + keyRow * keyWidth;
    products.packColumnsTransposed(k + keys.begin * keyWidth + keyColumn, keyWidth, keys.columns,
                                   size, packedKeys);
    products.multiply(rows, keys.columns, size, queries, packedKeys, scores, rows, false);
    layBias(p, row.head, keys, bounds, tile, biasLine);
    table.attention.forward(tile, probabilities, softmax.maximum, softmax.total, softmax.rescale);
    if (!first) table.attention.scaleRows(result, rows, rows, size, softmax.rescale);
    products.packColumns(v + keys.begin * keyWidth + keyColumn, keyWidth, size, keys.columns,
                         packedValues);
    products.multiply(rows, size, keys.columns,
                      products.rowsOf(probabilities, rows, keys.columns, packedProbabilities),
                      packedValues, result, rows, !first);
    first = false;
  }
  if (first) std::fill(result, result + rows * head32, 0.0f);
  softmax.finish(table, rows, result, size, logSumExp + queryRow * p.heads + row.head,
                 row.logSumExpStride);
  products.k.store(result, rows, rows, size, y + queryAt, row.stride, nullptr, false);
}

/** Whether heads that share a key head are computed together, as in generation: each sequence has
 * at most one query, and nothing else differs by head. Packs keys and values once for them; the
 * bits of a row are the same. */
bool joinsHeads(const AttentionProblem& p) {
  if (p.bias || p.rate > 0 || p.heads / p.keyValueHeads > kQueryBlock) return false;
  for (int64_t b = 0; b < p.sequences; b++)
    if (p.queryOffsets[b + 1] - p.queryOffsets[b] > 1) return false;
  return true;
}

}  // namespace

void attentionForward(const AttentionProblem& p, float* y, float* logSumExp) {
  if (p.headSize == 0) return;
  const std::vector<QueryBlock> blocks = queryBlocks(p.queryOffsets, p.sequences);
  const int64_t longestKeys = longest(p.keyOffsets, p.sequences);
  const bool joined = joinsHeads(p);
  const int64_t tasks = joined ? p.keyValueHeads : p.heads, group = p.heads / p.keyValueHeads;
  parallel(static_cast<int64_t>(blocks.size()) * tasks, [&](int64_t task) {
    const QueryBlock& block = blocks[static_cast<size_t>(task / tasks)];
    const int64_t i = task % tasks;
    const Rows row = joined ? Rows{group, i * group, p.headSize, 1, 0}
                            : Rows{block.rows, i, p.queryWidth(), p.heads, 1};
    forwardBlock(p, block, row, longestKeys, y, logSumExp);
  });
}

}  // namespace peft
