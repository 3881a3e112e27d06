#include "../core/thread-pool.h"
#include "blocks.h"

namespace peft {
namespace {

constexpr int64_t kHeadsTogether = 8;  // whose keys are packed once

/** Where the rows of a block of queries lie: consecutive queries of one head, or the heads that
 * share a key head, each with the one query of its sequence. */
struct Rows {
  int64_t count, head;
  int64_t stride;           // floats from row to row of q and y
  int64_t logSumExpStride;  // and of logSumExp
  int64_t step;             // positions from row to row
};

/** One block of queries of `heads` heads that share a key head, the first of them being row.head;
 * keys and values are packed once for all of them. */
void forwardBlock(const AttentionProblem& p, const QueryBlock& block, const Rows& row,
                  int64_t heads, int64_t longestKeys, float* y, float* logSumExp) {
  const KernelTable& table = kernels();
  const int64_t size = p.headSize, rows = row.count, keyWidth = p.keyWidth();
  const TileProducts products(p.bf16, std::max(kKeyBlock, size));
  const int64_t head32 = products.padded(size), keys32 = products.padded(kKeyBlock),
                queryWords = products.rowWords(rows, size);
  Parts parts(Scratch::kAttentionA, heads * (queryWords + rows * head32) + rows * kStrideWords * 2 +
                                        keys32 * size + kKeyBlock * head32 + rows * keys32 +
                                        kQueryBlock + kKeyBlock);
  uint32_t* queries = parts.words(heads * queryWords);
  uint32_t* packedKeys = parts.words(keys32 * size);
  uint32_t* packedValues = parts.words(kKeyBlock * head32);
  float* scores = parts.floats(rows * keys32);
  float* probabilities = parts.floats(rows * kStrideWords);
  uint32_t* packedProbabilities = parts.words(rows * kStrideWords);
  float* results = parts.floats(heads * rows * head32);
  float* biasLine = parts.floats(kQueryBlock + kKeyBlock);

  const int64_t queryRow = p.queryOffsets[block.sequence] + block.begin,
                keyRow = p.keyRow(block.sequence);
  const int64_t queryAt = queryRow * p.queryWidth() + row.head * size,
                keyColumn = p.keyHead(row.head) * size;
  const TileBounds bounds(p, block.sequence, block.begin, block.rows);
  for (int64_t h = 0; h < heads; h++)
    products.packRows(p.q + queryAt + h * size, row.stride, rows, size, queries + h * queryWords);
  std::vector<RunningSoftmax> softmax(static_cast<size_t>(heads), RunningSoftmax(rows));
  bool first = true;
  for (const KeyBlock& keys : keyBlocks(p, bounds.keys())) {
    ScoreTile tile = scoreTile(p, keys, rows, queryRow, row.head, longestKeys, scores);
    if (!bounds.see(keys, tile)) continue;
    const float* k = keys.extra ? p.extraKeys : p.k + keyRow * keyWidth;
    const float* v = keys.extra ? p.extraValues : p.v + keyRow * keyWidth;
    const int64_t columns = tile.columns;
    products.packColumnsTransposed(k + keys.begin * keyWidth + keyColumn, keyWidth, columns, size,
                                   packedKeys);
    products.packColumns(v + keys.begin * keyWidth + keyColumn, keyWidth, size, columns,
                         packedValues);
    for (int64_t h = 0; h < heads; h++) {
      const int64_t head = row.head + h;
      RunningSoftmax& sums = softmax[static_cast<size_t>(h)];
      float* result = results + h * rows * head32;
      tile = scoreTile(p, keys, rows, queryRow, head, longestKeys, scores);
      tile.rowStep = row.step;
      bounds.see(keys, tile);
      products.multiply(rows, columns, size, queries + h * queryWords, packedKeys, scores, rows,
                        false);
      layBias(p, head, keys, bounds, tile, biasLine);
      table.attention.forward(tile, probabilities, sums.maximum, sums.total, sums.rescale);
      if (!first) table.attention.scaleRows(result, rows, rows, size, sums.rescale);
      products.multiply(rows, size, columns,
                        products.rowsOf(probabilities, rows, columns, packedProbabilities),
                        packedValues, result, rows, !first);
    }
    first = false;
  }
  if (first) std::fill(results, results + heads * rows * head32, 0.0f);
  for (int64_t h = 0; h < heads; h++) {
    float* result = results + h * rows * head32;
    softmax[static_cast<size_t>(h)].finish(table, rows, result, size,
                                           logSumExp + queryRow * p.heads + row.head + h,
                                           row.logSumExpStride);
    products.k.store(result, rows, rows, size, y + queryAt + h * size, row.stride, nullptr, false);
  }
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
  const int64_t group = p.heads / p.keyValueHeads, count = static_cast<int64_t>(blocks.size());
  // a task for each group where there are enough of them for all threads; the bits are the same
  const int64_t together =
      !joined && count * p.keyValueHeads >= int64_t{4} * threadCount() && group <= kHeadsTogether
          ? group
          : 1;
  const int64_t tasks = joined ? p.keyValueHeads : p.heads / together;
  parallel(count * tasks, [&](int64_t task) {
    const QueryBlock& block = blocks[static_cast<size_t>(task / tasks)];
    const int64_t i = task % tasks;
    const Rows row = joined ? Rows{group, i * group, p.headSize, 1, 0}
                            : Rows{block.rows, i * together, p.queryWidth(), p.heads, 1};
    forwardBlock(p, block, row, together, longestKeys, y, logSumExp);
  });
}

}  // namespace peft
