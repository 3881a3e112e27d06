// As attention/backward.cc, and for each position term with D the shifted score gradients (row r
// moved by −r): content gradient += D·positions, position gradient (by distance) += Dᵀ·content. One
// task takes a head and a fixed share of the sequences; position gradients are added over the
// shares in order.
#include <optional>

#include "../core/thread-pool.h"
#include "disentangled-tile.h"
#include "row-shares.h"

namespace peft {
namespace {

constexpr int64_t kTasksWanted = 48;
constexpr int64_t kGradientStride =
    kStrideWords;  // of score gradients, kPad zeros before and after each row

class BackwardTask {
 public:
  BackwardTask(const DisentangledProblem& problem, const PositionTables& positionTables,
               const DisentangledGradients& gradients, int64_t longestSequence, int64_t head,
               float* dkeys, float* dqueries)
      : p(problem),
        tables(positionTables),
        g(gradients),
        products(problem.bf16, std::max(2 * kSquareBlock, problem.headSize)),
        parts(Scratch::kAttentionA, floatsNeeded(products, problem.headSize) + 2 * longestSequence),
        longest_(longestSequence),
        head_(head),
        dkeys_(dkeys),
        dqueries_(dqueries) {
    const int64_t size = p.headSize, head32 = products.padded(size),
                  keys32 = products.padded(kSquareBlock), block = kSquareBlock;
    queryRows = parts.words(block * kStrideWords);
    keyRows = parts.words(block * kStrideWords);
    dyRows = parts.words(block * kStrideWords);
    packed = parts.words(block * kStrideWords);
    shifted = parts.words(kPad * kStrideWords);
    keysT = parts.words(keys32 * size);
    valuesT = parts.words(keys32 * size);
    keyColumns = parts.words(block * head32);
    queryColumns = parts.words(block * head32);
    dyColumns = parts.words(block * head32);
    positionColumns = parts.words(2 * block * head32);
    dp = parts.floats(block * keys32);
    probabilities = parts.floats(block * kStrideWords);
    ds = parts.floats(block * kGradientStride + 2 * kPad) + kPad;
    dsT = parts.floats(block * kGradientStride + 2 * kPad) + kPad;
    dqSums = parts.floats(block * head32);
    dkSums = parts.floats(block * head32);
    dvSums = parts.floats(block * head32);
    positionSums = parts.floats(kMostTileRows * head32);
    maximum = parts.floats(longest_);
    total = parts.floats(longest_);
    scores.emplace(parts, products);
  }

  void run(int64_t sequence) {
    const int64_t size = p.headSize, width = p.width(), row = p.offsets[sequence],
                  length = p.offsets[sequence + 1] - row, column = head_ * size;
    for (int64_t n = 0; n < length; n++)
      kernels().fillRun(g.dq + (row + n) * width + column, size, 0.0f);
    makeShares(row, length);
    for (int64_t keyBegin = 0; keyBegin < length; keyBegin += kSquareBlock) {
      const int64_t columns = std::min(kSquareBlock, length - keyBegin),
                    offset = (row + keyBegin) * width + column;
      packKeys(offset, columns);
      products.packColumnsTransposed(p.v + offset, width, columns, size, valuesT);
      products.packColumns(p.k + offset, width, size, columns, keyColumns);
      for (int64_t begin = 0; begin < length; begin += kSquareBlock)
        tile(row, begin, std::min(kSquareBlock, length - begin), keyBegin, columns);
      products.k.store(dkSums, kSquareBlock, columns, size, g.dk + offset, width, nullptr, false);
      products.k.store(dvSums, kSquareBlock, columns, size, g.dv + offset, width, nullptr, false);
    }
  }

 private:
  static int64_t floatsNeeded(const TileProducts& t, int64_t size) {
    const int64_t head32 = t.padded(size), keys32 = t.padded(kSquareBlock), block = kSquareBlock;
    return 2 * keys32 * size + 11 * block * head32 + 7 * block * kStrideWords + block * keys32 +
           2 * (block * kGradientStride + 2 * kPad) + kMostTileRows * head32 + kPad * kStrideWords +
           DisentangledScores::floats(t);
  }

  /** Keys of a tile for its scores. */
  void packKeys(int64_t offset, int64_t columns) {
    products.packColumnsTransposed(p.k + offset, p.width(), columns, p.headSize, keysT);
    if (tables.queries.present())
      products.packRows(p.k + offset, p.width(), columns, p.headSize, keyRows);
  }

  /** Of all rows of a sequence; see RowShares. */
  void makeShares(int64_t sequenceRow, int64_t length) {
    std::vector<int64_t> large;  // first rows of blocks
    auto shares = [&](int64_t begin) { return RowShares{maximum + begin, total + begin}; };
    auto rowsFrom = [&](int64_t begin) { return std::min(kSquareBlock, length - begin); };
    auto logSumExp = [&](int64_t begin) {
      return g.logSumExp + (sequenceRow + begin) * p.heads + head_;
    };
    for (int64_t begin = 0; begin < length; begin += kSquareBlock)
      if (shares(begin).begin(logSumExp(begin), p.heads, rowsFrom(begin))) large.push_back(begin);
    if (large.empty()) return;
    const int64_t width = p.width(), first = sequenceRow * width + head_ * p.headSize;
    float rescale[kSquareBlock];
    for (int64_t keyBegin = 0; keyBegin < length; keyBegin += kSquareBlock) {
      packKeys(first + keyBegin * width, rowsFrom(keyBegin));
      for (const int64_t begin : large) {
        products.packRows(p.q + first + begin * width, width, rowsFrom(begin), p.headSize,
                          queryRows);
        const ScoreTile tile = scores->tile(p, tables, products, head_, queryRows, keyRows, keysT,
                                            begin, rowsFrom(begin), keyBegin, rowsFrom(keyBegin),
                                            sequenceRow + begin, longest_);
        kernels().attention.forward(tile, probabilities, shares(begin).maximum, shares(begin).total,
                                    rescale);
      }
    }
    for (const int64_t begin : large)
      shares(begin).finish(kernels(), logSumExp(begin), p.heads, rowsFrom(begin));
  }

  void tile(int64_t sequenceRow, int64_t begin, int64_t rows, int64_t keyBegin, int64_t columns) {
    const KernelTable& table = kernels();
    const int64_t size = p.headSize, width = p.width(), queryRow = sequenceRow + begin,
                  offset = queryRow * width + head_ * size;
    products.packRows(p.q + offset, width, rows, size, queryRows);
    products.packRows(g.dy + offset, width, rows, size, dyRows);
    products.packColumns(p.q + offset, width, size, rows, queryColumns);
    products.packColumns(g.dy + offset, width, size, rows, dyColumns);
    float delta[kSquareBlock];
    table.attention.delta(g.dy + offset, g.y + offset, width, rows, size, delta);
    const ScoreTile tile = scores->tile(p, tables, products, head_, queryRows, keyRows, keysT,
                                        begin, rows, keyBegin, columns, queryRow, longest_);
    products.multiply(rows, columns, size, dyRows, valuesT, dp, rows, false);
    table.attention.backward(tile, dp, maximum + begin, total + begin, delta, probabilities, ds,
                             nullptr);
    padRows(ds, rows, columns);
    table.transposeWords(reinterpret_cast<const uint32_t*>(ds), kGradientStride, rows, columns,
                         reinterpret_cast<uint32_t*>(dsT), kGradientStride);
    padRows(dsT, columns, rows);

    const bool more = begin > 0;
    products.multiply(rows, size, columns, products.rowsOf(ds, rows, columns, packed), keyColumns,
                      dqSums, kSquareBlock, false);
    products.multiply(columns, size, rows, products.rowsOf(dsT, columns, rows, packed),
                      queryColumns, dkSums, kSquareBlock, more);
    products.packRowsTransposed(probabilities, kStrideWords, columns, rows, packed);
    products.multiply(columns, size, rows, packed, dyColumns, dvSums, kSquareBlock, more);
    if (tables.keys.present())
      positionTerm(tables.keys, ds, rows, columns, keyBegin - begin, queryColumns, dqSums, dkeys_);
    if (tables.queries.present())
      positionTerm(tables.queries, dsT, columns, rows, begin - keyBegin, keyColumns, dkSums,
                   dqueries_);
    products.k.store(dqSums, kSquareBlock, rows, size, g.dq + offset, width, nullptr, true);
  }

  /** Zeros around rows of `columns` elements. */
  void padRows(float* matrix, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; r++) {
      std::fill(matrix + r * kGradientStride - kPad, matrix + r * kGradientStride, 0.0f);
      std::fill(matrix + r * kGradientStride + columns,
                matrix + r * kGradientStride + columns + kPad, 0.0f);
    }
  }

  /**
   * `gradient` [rows][columns], padded; `first` the distance of its first element; `content` the
   * packed content rows [rows, E]. Position i of the tile's rows + columns − 1 stands for distance
   * first − (rows − 1) + i; (r, i) of D is gradient[r][i − (rows − 1 − r)].
   */
  void positionTerm(const PositionTable& positions, const float* gradient, int64_t rows,
                    int64_t columns, int64_t first, const uint32_t* content, float* contentSums,
                    float* positionGradient) {
    const int64_t size = p.headSize, panel = products.k.tileColumns, step = products.k.tileRows,
                  each = products.k.elementsPerWord, span = rows + columns - 1;
    const int64_t lowest = positions.at(first - (rows - 1));
    const int64_t spanWords = products.words(span), rowWords = products.words(rows);
    auto element = [&](int64_t r, int64_t i) {
      return gradient + r * kGradientStride + i - (rows - 1 - r);
    };
    products.packColumns(positions.expanded(head_) + lowest * size, size, size, span,
                         positionColumns);
    for (int64_t r = 0; r < rows; r += step) {
      const int64_t height = std::min(step, rows - r);
      const int64_t from = (rows - height - r) / each * each,
                    to = std::min(span, rows - 1 - r + columns);  // positions that these rows have
      products.packRows(element(r, from), kGradientStride + 1, height, to - from, shifted);
      for (int64_t c = 0; c < size; c += panel) {
        products.multiply(height, std::min(panel, size - c), to - from, shifted,
                          positionColumns + c * spanWords + from / each * panel,
                          contentSums + c * kSquareBlock + r * panel, kSquareBlock, true);
      }
    }
    if (!positionGradient) return;
    for (int64_t begin = 0; begin < span; begin += kPanelsAtOnce * step) {
      const int64_t packedRows = std::min(kPanelsAtOnce * step, span - begin);
      const int64_t first = std::max<int64_t>(0, rows - packedRows - begin) / each * each,
                    last = std::min(rows,
                                    rows - 1 - begin + columns);  // rows that have these positions
      products.packRowsTransposed(element(first, begin), kGradientStride + 1, packedRows,
                                  last - first, shifted);
      for (int64_t i = begin; i < begin + packedRows; i += step) {
        const int64_t height = std::min(step, span - i);
        const int64_t from = std::max<int64_t>(first, (rows - height - i) / each * each),
                      to = std::min(last, rows - 1 - i + columns);
        for (int64_t c = 0; c < size; c += panel) {
          products.multiply(height, std::min(panel, size - c), to - from,
                            shifted + (i - begin) * kStrideWords + (from - first) / each,
                            content + c * rowWords + from / each * panel, positionSums + c * step,
                            step, false);
        }
        products.k.store(positionSums, step, height, size, positionGradient + (lowest + i) * size,
                         size, nullptr, true);
      }
    }
  }

  const DisentangledProblem& p;
  const PositionTables& tables;
  const DisentangledGradients& g;
  const TileProducts products;
  Parts parts;
  const int64_t longest_, head_;
  float *dkeys_, *dqueries_;  // [distances][E] of this task, or null
  uint32_t *queryRows, *keyRows, *dyRows, *packed, *shifted, *keysT, *valuesT, *keyColumns,
      *queryColumns, *dyColumns, *positionColumns;
  float *dp, *probabilities, *ds, *dsT, *dqSums, *dkSums, *dvSums, *positionSums, *maximum, *total;
  std::optional<DisentangledScores> scores;
};

/** out [S, H·E] = Σ over shares and distances, in order; parts [share][head][distances][E]. */
void scatterPositions(const DisentangledProblem& p, const PositionTable& positions,
                      const float* parts, int64_t shares, float* out) {
  const int64_t size = p.headSize, part = positions.distances() * size;
  parallel(p.heads, [&](int64_t head) {
    for (int64_t s = 0; s < p.positions; s++)
      kernels().fillRun(out + s * p.width() + head * size, size, 0.0f);
    for (int64_t share = 0; share < shares; share++) {
      const float* from = parts + (share * p.heads + head) * part;
      for (int64_t e = 0; e < positions.distances(); e++)
        kernels().addRun(from + e * size, out + positions.tableRow(e) * p.width() + head * size,
                         size);
    }
  });
}

}  // namespace

void disentangledBackward(const DisentangledProblem& p, const DisentangledGradients& g) {
  if (p.headSize == 0) return;
  const int64_t longestSequence = longest(p.offsets, p.sequences);
  PositionTables tables(p, longestSequence);
  preparePositions(p, tables);
  int64_t shares =
      std::max<int64_t>(1, std::min(p.sequences, (kTasksWanted + p.heads - 1) / p.heads));
  const bool needKeys = g.dpositionKeys && tables.keys.present(),
             needQueries = g.dpositionQueries && tables.queries.present();
  const int64_t part = tables.keys.distances() * p.headSize, all = shares * p.heads * part;
  Parts parts(Scratch::kAttentionPartial, (needKeys ? all : 0) + (needQueries ? all : 0));
  float* dkeys = needKeys ? parts.floats(all) : nullptr;
  float* dqueries = needQueries ? parts.floats(all) : nullptr;
  if (p.offsets[p.sequences] == 0) shares = 0;  // nothing to do but zeros
  parallel(shares * p.heads, [&](int64_t task) {
    const int64_t share = task / p.heads, head = task % p.heads;
    float* own[2] = {dkeys ? dkeys + task * part : nullptr,
                     dqueries ? dqueries + task * part : nullptr};
    for (float* gradient : own)
      if (gradient) kernels().fillRun(gradient, part, 0.0f);
    BackwardTask work(p, tables, g, longestSequence, head, own[0], own[1]);
    for (int64_t b = p.sequences * share / shares; b < p.sequences * (share + 1) / shares; b++)
      work.run(b);
  });
  if (needKeys) scatterPositions(p, tables.keys, dkeys, shares, g.dpositionKeys);
  if (needQueries) scatterPositions(p, tables.queries, dqueries, shares, g.dpositionQueries);
}

}  // namespace peft
