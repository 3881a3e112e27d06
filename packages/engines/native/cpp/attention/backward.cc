// With P the probabilities and δ_i = dy_i·y_i: dP = dy·Vᵀ, dS = P∘(dP − δ)·scale, dQ = dS·K, dK =
// dSᵀ·Q, dV = Pᵀ·dy. One task takes a sequence and a key head, so that it alone adds to its parts
// of dq, dk and dv. What sequences share (bias, extra keys) is summed per sequence, then over
// sequences in order.
#include <vector>

#include "../core/thread-pool.h"
#include "blocks.h"
#include "row-shares.h"

namespace peft {
namespace {

class BackwardTask {
 public:
  BackwardTask(const AttentionProblem& problem, const AttentionGradients& gradients,
               int64_t longestKeys, int64_t sequence, int64_t keyHead, float* dbias,
               float* dextraKeys, float* dextraValues)
      : p(problem),
        g(gradients),
        products(problem.bf16, std::max(kKeyBlock, problem.headSize)),
        queries_(problem.queryOffsets[sequence + 1] - problem.queryOffsets[sequence]),
        parts(Scratch::kAttentionA, floatsNeeded(products, problem.headSize) +
                                        3 * queries_ * (problem.heads / problem.keyValueHeads)),
        longestKeys_(longestKeys),
        sequence_(sequence),
        keyHead_(keyHead),
        dbias_(dbias),
        dextraKeys_(dextraKeys),
        dextraValues_(dextraValues) {
    const int64_t size = p.headSize, head32 = products.padded(size),
                  keys32 = products.padded(kKeyBlock), rows = kQueryBlock;
    keysT = parts.words(keys32 * size);
    valuesT = parts.words(keys32 * size);
    keysN = parts.words(kKeyBlock * head32);
    queryRows = parts.words(products.rowWords(rows, size));
    dyRows = parts.words(products.rowWords(rows, size));
    queryColumns = parts.words(rows * head32);
    dyColumns = parts.words(rows * head32);
    scores = parts.floats(rows * keys32);
    dp = parts.floats(rows * keys32);
    probabilities = parts.floats(rows * kStrideWords);
    ds = parts.floats(rows * kStrideWords);
    packedRows = parts.words(rows * kStrideWords);
    packedColumns = parts.words(kKeyBlock * kStrideWords);
    dqSums = parts.floats(rows * head32);
    dkSums = parts.floats(kKeyBlock * head32);
    dvSums = parts.floats(kKeyBlock * head32);
    biasLine = parts.floats(kQueryBlock + kKeyBlock);
    biasGradient = parts.floats(kQueryBlock + kKeyBlock);
    const int64_t all = queries_ * (p.heads / p.keyValueHeads);
    delta = parts.floats(all);
    maximum = parts.floats(all);
    total = parts.floats(all);
  }

  void run() {
    const int64_t size = p.headSize, group = p.heads / p.keyValueHeads;
    makeDelta();
    makeShares();
    const int64_t queries = queries_, keys = p.keyOffsets[sequence_ + 1] - p.keyOffsets[sequence_];
    const int64_t queryRow = p.queryOffsets[sequence_];
    for (int64_t n = 0; n < queries; n++)
      kernels().fillRun(g.dq + (queryRow + n) * p.queryWidth() + keyHead_ * group * size,
                        group * size, 0.0f);
    for (const KeyBlock& block : keyBlocks(p, keys)) {
      loadKeys(block);
      bool started = false;
      for (int64_t head = keyHead_ * group; head < (keyHead_ + 1) * group; head++)
        for (int64_t begin = 0; begin < queries; begin += kQueryBlock)
          started |= tile(block, head, begin, std::min(kQueryBlock, queries - begin), started);
      storeKeys(block, started);
    }
  }

 private:
  static int64_t floatsNeeded(const TileProducts& t, int64_t size) {
    const int64_t head32 = t.padded(size), keys32 = t.padded(kKeyBlock), rows = kQueryBlock;
    return 2 * keys32 * size + kKeyBlock * head32 + 2 * t.rowWords(rows, size) + 2 * rows * head32 +
           2 * rows * keys32 + 3 * rows * kStrideWords + kKeyBlock * kStrideWords + rows * head32 +
           2 * kKeyBlock * head32 + 2 * (kQueryBlock + kKeyBlock);
  }

  const float* at(const float* own, const float* extra, const KeyBlock& block) const {
    const int64_t row = block.extra ? block.begin : p.keyOffsets[sequence_] + block.begin;
    return (block.extra ? extra : own) + row * p.keyWidth() + keyHead_ * p.headSize;
  }

  void loadKeys(const KeyBlock& block) {
    const float *k = at(p.k, p.extraKeys, block), *v = at(p.v, p.extraValues, block);
    products.packColumnsTransposed(k, p.keyWidth(), block.columns, p.headSize, keysT);
    products.packColumnsTransposed(v, p.keyWidth(), block.columns, p.headSize, valuesT);
    products.packColumns(k, p.keyWidth(), p.headSize, block.columns, keysN);
  }

  /** Adds what one tile gives to dq, dkSums, dvSums. False: nothing of it is seen. */
  bool tile(const KeyBlock& block, int64_t head, int64_t begin, int64_t rows, bool accumulate) {
    const KernelTable& table = kernels();
    const int64_t size = p.headSize, width = p.queryWidth();
    const int64_t queryRow = p.queryOffsets[sequence_] + begin,
                  offset = queryRow * width + head * size;
    const TileBounds bounds(p, sequence_, begin, rows);
    ScoreTile tile = scoreTile(p, block, rows, queryRow, head, longestKeys_, scores);
    if (!bounds.see(block, tile)) return false;
    const int64_t columns = tile.columns;
    products.packRows(p.q + offset, width, rows, size, queryRows);
    products.packRows(g.dy + offset, width, rows, size, dyRows);
    products.packColumns(p.q + offset, width, size, rows, queryColumns);
    products.packColumns(g.dy + offset, width, size, rows, dyColumns);
    products.multiply(rows, columns, size, queryRows, keysT, scores, rows, false);
    products.multiply(rows, columns, size, dyRows, valuesT, dp, rows, false);
    layBias(p, head, block, bounds, tile, biasLine);
    float* line = nullptr;
    if (dbias_ && tile.bias) {
      table.fillRun(biasGradient, rows + columns - 1, 0.0f);
      line = biasGradient + rows - 1;
    }
    const RowShares shares = sharesOf(head, begin);
    table.attention.backward(tile, dp, shares.shifts(), shares.factors(),
                             delta + rowOf(head, begin), probabilities, ds, line);
    if (line) addBias(head, block, bounds, rows, columns);
    products.multiplyFirst(rows, size, columns, block.columns,
                           products.rowsOf(ds, rows, columns, packedRows), keysN, dqSums, rows);
    products.k.store(dqSums, rows, rows, size, g.dq + offset, width, nullptr, true);
    products.packRowsTransposed(ds, kStrideWords, columns, rows, packedColumns);
    products.multiply(columns, size, rows, packedColumns, queryColumns, dkSums, kKeyBlock,
                      accumulate);
    products.packRowsTransposed(probabilities, kStrideWords, columns, rows, packedColumns);
    products.multiply(columns, size, rows, packedColumns, dyColumns, dvSums, kKeyBlock, accumulate);
    if (!accumulate) clearRows(columns, block.columns);
    return true;
  }

  /** δ of all queries and heads. */
  void makeDelta() {
    const int64_t size = p.headSize, width = p.queryWidth(), group = p.heads / p.keyValueHeads;
    for (int64_t head = keyHead_ * group; head < (keyHead_ + 1) * group; head++) {
      const int64_t first = p.queryOffsets[sequence_] * width + head * size;
      kernels().attention.delta(g.dy + first, g.y + first, width, queries_, size,
                                delta + rowOf(head, 0));
    }
  }

  /** Of all queries and heads; see RowShares. */
  void makeShares() {
    std::vector<std::pair<int64_t, int64_t>> large;  // heads and first rows of blocks
    const int64_t group = p.heads / p.keyValueHeads;
    for (int64_t head = keyHead_ * group; head < (keyHead_ + 1) * group; head++)
      for (int64_t begin = 0; begin < queries_; begin += kQueryBlock)
        if (sharesOf(head, begin).begin(logSumExpOf(head, begin), p.heads, rowsFrom(begin)))
          large.emplace_back(head, begin);
    if (large.empty()) return;
    for (const KeyBlock& block :
         keyBlocks(p, p.keyOffsets[sequence_ + 1] - p.keyOffsets[sequence_])) {
      products.packColumnsTransposed(at(p.k, p.extraKeys, block), p.keyWidth(), block.columns,
                                     p.headSize, keysT);
      for (const auto& [head, begin] : large) addToShares(block, head, begin);
    }
    for (const auto& [head, begin] : large)
      sharesOf(head, begin).finish(kernels(), logSumExpOf(head, begin), p.heads, rowsFrom(begin));
  }

  void addToShares(const KeyBlock& block, int64_t head, int64_t begin) {
    const int64_t rows = rowsFrom(begin), queryRow = p.queryOffsets[sequence_] + begin;
    const TileBounds bounds(p, sequence_, begin, rows);
    ScoreTile tile = scoreTile(p, block, rows, queryRow, head, longestKeys_, scores);
    if (!bounds.see(block, tile)) return;
    products.packRows(p.q + queryRow * p.queryWidth() + head * p.headSize, p.queryWidth(), rows,
                      p.headSize, queryRows);
    products.multiply(rows, tile.columns, p.headSize, queryRows, keysT, scores, rows, false);
    layBias(p, head, block, bounds, tile, biasLine);
    const RowShares shares = sharesOf(head, begin);
    float rescale[kQueryBlock];
    kernels().attention.forward(tile, probabilities, shares.maximum, shares.total, rescale);
  }

  int64_t rowsFrom(int64_t begin) const { return std::min(kQueryBlock, queries_ - begin); }
  const float* logSumExpOf(int64_t head, int64_t query) const {
    return g.logSumExp + (p.queryOffsets[sequence_] + query) * p.heads + head;
  }
  /** Where what is kept of a head's query lies. */
  int64_t rowOf(int64_t head, int64_t query) const {
    return (head - keyHead_ * (p.heads / p.keyValueHeads)) * queries_ + query;
  }
  RowShares sharesOf(int64_t head, int64_t begin) const {
    return {maximum + rowOf(head, begin), total + rowOf(head, begin)};
  }

  /** Rows [from, to) of the sums of keys and values, to which the first tile gave nothing. */
  void clearRows(int64_t from, int64_t to) {
    const int64_t panel = products.k.tileColumns, head32 = products.padded(p.headSize);
    for (float* sums : {dkSums, dvSums})
      for (int64_t c = 0; c < head32; c += panel)
        std::fill(sums + c * kKeyBlock + from * panel, sums + c * kKeyBlock + to * panel, 0.0f);
  }

  void addBias(int64_t head, const KeyBlock& block, const TileBounds& bounds, int64_t rows,
               int64_t columns) {
    const int64_t shift = block.begin - bounds.firstPosition();
    for (int64_t i = 0; i < rows + columns - 1; i++)
      dbias_[head * p.biasColumns + biasColumn(p, i - (rows - 1) + shift)] += biasGradient[i];
  }

  void storeKeys(const KeyBlock& block, bool started) {
    const int64_t size = p.headSize, width = p.keyWidth(), column = keyHead_ * size;
    if (!started) {
      std::fill(dkSums, dkSums + kKeyBlock * products.padded(size), 0.0f);
      std::fill(dvSums, dvSums + kKeyBlock * products.padded(size), 0.0f);
    }
    const int64_t row = block.extra ? block.begin : p.keyOffsets[sequence_] + block.begin;
    float* dk = (block.extra ? dextraKeys_ : g.dk) + row * width + column;
    float* dv = (block.extra ? dextraValues_ : g.dv) + row * width + column;
    products.k.store(dkSums, kKeyBlock, block.columns, size, dk, width, nullptr, false);
    products.k.store(dvSums, kKeyBlock, block.columns, size, dv, width, nullptr, false);
  }

  const AttentionProblem& p;
  const AttentionGradients& g;
  const TileProducts products;
  const int64_t queries_;
  Parts parts;
  const int64_t longestKeys_, sequence_, keyHead_;
  float *dbias_, *dextraKeys_, *dextraValues_;  // this sequence's parts
  uint32_t *keysT, *valuesT, *keysN, *queryRows, *dyRows, *queryColumns, *dyColumns, *packedRows,
      *packedColumns;
  float *scores, *dp, *probabilities, *ds, *dqSums, *dkSums, *dvSums, *biasLine, *biasGradient,
      *delta, *maximum, *total;
};

/** out = Σ parts in order; parts [count][length]. */
void addParts(const float* parts, int64_t count, int64_t length, float* out) {
  parallelRanges(length, 4096, 16, [&](int64_t begin, int64_t end) {
    kernels().fillRun(out + begin, end - begin, 0.0f);
    for (int64_t i = 0; i < count; i++)
      kernels().addRun(parts + i * length + begin, out + begin, end - begin);
  });
}

}  // namespace

void attentionBackward(const AttentionProblem& p, const AttentionGradients& g) {
  if (p.headSize == 0) return;
  std::vector<int64_t> sequences;  // that have rows
  for (int64_t b = 0; b < p.sequences; b++)
    if (p.queryOffsets[b + 1] > p.queryOffsets[b] || p.keyOffsets[b + 1] > p.keyOffsets[b])
      sequences.push_back(b);
  const int64_t count = static_cast<int64_t>(sequences.size());
  const int64_t longestKeys = longest(p.keyOffsets, p.sequences);
  const int64_t biasSize = g.dbias ? p.heads * p.biasColumns : 0,
                extraSize = p.extra * p.keyWidth();
  Parts parts(Scratch::kAttentionPartial, count * (biasSize + 2 * extraSize));
  float* dbias = parts.floats(count * biasSize);
  float* dextraKeys = parts.floats(count * extraSize);
  float* dextraValues = parts.floats(count * extraSize);
  std::fill(dbias, dbias + count * biasSize, 0.0f);
  parallel(count * p.keyValueHeads, [&](int64_t task) {
    const int64_t i = task / p.keyValueHeads;
    BackwardTask(p, g, longestKeys, sequences[static_cast<size_t>(i)], task % p.keyValueHeads,
                 biasSize > 0 ? dbias + i * biasSize : nullptr, dextraKeys + i * extraSize,
                 dextraValues + i * extraSize)
        .run();
  });
  if (biasSize > 0) addParts(dbias, count, biasSize, g.dbias);
  if (extraSize > 0) {
    addParts(dextraKeys, count, extraSize, g.dextraKeys);
    addParts(dextraValues, count, extraSize, g.dextraValues);
  }
}

}  // namespace peft
