#include "../core/thread-pool.h"
#include "blocks.h"
#include "single-query.h"

namespace peft {
namespace {

/** One block of queries of one head. */
void forwardBlock(const AttentionProblem& p, const QueryBlock& block, int64_t head,
                  int64_t longestKeys, float* y, float* logSumExp) {
  const KernelTable& table = kernels();
  const int64_t size = p.headSize, rows = block.rows, keyWidth = p.keyWidth(),
                width = p.queryWidth();
  const TileProducts products(p.bf16, std::max(kKeyBlock, size));
  const int64_t head32 = products.padded(size), keys32 = products.padded(kKeyBlock);
  Parts parts(Scratch::kAttentionA, rows * kStrideWords * 3 + keys32 * size + kKeyBlock * head32 +
                                        rows * keys32 + rows * head32 + kQueryBlock + kKeyBlock);
  uint32_t* queries = parts.words(rows * kStrideWords);
  uint32_t* packedKeys = parts.words(keys32 * size);
  uint32_t* packedValues = parts.words(kKeyBlock * head32);
  float* scores = parts.floats(rows * keys32);
  float* probabilities = parts.floats(rows * kStrideWords);
  uint32_t* packedProbabilities = parts.words(rows * kStrideWords);
  float* result = parts.floats(rows * head32);
  float* biasLine = parts.floats(kQueryBlock + kKeyBlock);

  const int64_t queryRow = p.queryOffsets[block.sequence] + block.begin,
                keyRow = p.keyOffsets[block.sequence];
  const int64_t keyColumn = p.keyHead(head) * size;
  const TileBounds bounds(p, block.sequence, block.begin, rows);
  products.packRows(p.q + queryRow * width + head * size, width, rows, size, queries);
  RunningSoftmax softmax(rows);
  bool first = true;
  for (const KeyBlock& keys : keyBlocks(p, bounds.keys())) {
    ScoreTile tile = scoreTile(p, keys, rows, queryRow, head, longestKeys, scores);
    if (!bounds.see(keys, tile)) continue;
    const float* k = keys.extra ? p.extraKeys : p.k + keyRow * keyWidth;
    const float* v = keys.extra ? p.extraValues : p.v + keyRow * keyWidth;
    products.packColumnsTransposed(k + keys.begin * keyWidth + keyColumn, keyWidth, keys.columns,
                                   size, packedKeys);
    products.multiply(rows, keys.columns, size, queries, packedKeys, scores, rows, false);
    layBias(p, head, keys, bounds, tile, biasLine);
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
  softmax.finish(table, rows, result, size, logSumExp + queryRow * p.heads + head, p.heads);
  products.k.store(result, rows, rows, size, y + queryRow * width + head * size, width, nullptr,
                   false);
}

}  // namespace

void attentionForward(const AttentionProblem& p, float* y, float* logSumExp) {
  if (p.headSize == 0) return;
  if (hasSingleQueries(p)) return singleQueryAttention(p, y, logSumExp);
  const std::vector<QueryBlock> blocks = queryBlocks(p.queryOffsets, p.sequences);
  const int64_t longestKeys = longest(p.keyOffsets, p.sequences);
  parallel(static_cast<int64_t>(blocks.size()) * p.heads, [&](int64_t task) {
    forwardBlock(p, blocks[static_cast<size_t>(task / p.heads)], task % p.heads, longestKeys, y,
                 logSumExp);
  });
}

}  // namespace peft
