#include "output-loss.h"

#include <algorithm>
#include <cmath>

#include "../core/arena.h"
#include "../core/dispatch.h"
#include "../core/parts.h"
#include "../core/thread-pool.h"

namespace peft {
namespace {

/** Words of the vocabulary at a time; fixed, so that a row's sums do not depend on their number. */
constexpr int64_t kChunk = 1024;

/** What a row knows of the chunks so far. */
struct Row {
  float maximum = -INFINITY, total = 0, target = 0;
};

struct Rows {
  const OutputLayer& layer;
  const int32_t* labels;
  int64_t first, count;  // of the chunk

  /** z in the place of the products of row n with the chunk. */
  void transform(float* z) const {
    const KernelTable& table = kernels();
    if (layer.scale != 1) table.binaryRun(Binary::multiply, z, false, &layer.scale, true, z, count);
    if (layer.bias) table.addRun(layer.bias + first, z, count);
    if (layer.softCap > 0) {
      table.binaryRun(Binary::divide, z, false, &layer.softCap, true, z, count);
      table.unaryRun(Unary::tanh, z, z, count);
      table.binaryRun(Binary::multiply, z, false, &layer.softCap, true, z, count);
    }
  }

  /** cap'(z), z being what the cap gave. */
  float slope(float z) const {
    if (!(layer.softCap > 0)) return 1;
    const float share = z / layer.softCap;
    return 1 - share * share;
  }

  /** Goes on with row n over the chunk: its products become e^{z − maximum}·cap'(z). Returns by
   * what sums so far are to be multiplied. */
  float take(int64_t n, float* z, float* spare, Row& row) const {
    const KernelTable& table = kernels();
    transform(z);
    const int64_t label = labels[n] - first;
    if (label >= 0 && label < count) row.target = z[label];
    const float most = std::max(row.maximum, table.reduceRun(Reduction::maximum, z, count));
    const float rescale = row.maximum == most ? 1.0f : std::exp(row.maximum - most);
    row.maximum = most;
    table.probabilityRow(z, most, 1.0f, spare, count);
    row.total = row.total * rescale + table.reduceRun(Reduction::sum, spare, count);
    if (layer.softCap > 0)
      for (int64_t i = 0; i < count; i++) z[i] = spare[i] * slope(z[i]);
    else
      std::copy(spare, spare + count, z);
    return rescale;
  }
};

}  // namespace

void outputLoss(const OutputLayer& layer, const float* x, const int32_t* labels, int64_t n,
                float* loss, float* dx, bool bf16) {
  const Weight& weight = layer.weight;
  const int64_t vocabulary = weight.shape.rows, width = weight.shape.columns;
  if (n == 0) return;
  Parts parts(Scratch::kLoss, n * kChunk + 4 * n);
  float* products = parts.floats(n * kChunk);
  Row* rows = reinterpret_cast<Row*>(parts.floats(3 * n));
  std::fill(rows, rows + n, Row());
  if (dx) std::fill(dx, dx + n * width, 0.0f);
  for (int64_t first = 0; first < vocabulary; first += kChunk) {
    const Rows chunk = {layer, labels, first, std::min(kChunk, vocabulary - first)};
    storedRowsForward(weight, first, chunk.count, x, products, n, bf16);
    parallelRanges(n, 8, 1, [&](int64_t begin, int64_t end) {
      float spare[kChunk];
      for (int64_t i = begin; i < end; i++) {
        const float rescale = chunk.take(i, products + i * chunk.count, spare, rows[i]);
        if (dx && rescale != 1)
          kernels().binaryRun(Binary::multiply, dx + i * width, false, &rescale, true,
                              dx + i * width, width);
      }
    });
    if (dx) addStoredRowsBackward(weight, first, chunk.count, products, dx, n, bf16);
  }
  const MatrixView view = weight.view();
  const Rows all = {layer, labels, 0, vocabulary};
  parallelRanges(n, 8, 1, [&](int64_t begin, int64_t end) {
    float* target = scratch<float>(Scratch::kDecode, width);
    for (int64_t i = begin; i < end; i++) {
      const Row& row = rows[i];
      loss[i] = row.maximum + std::log(row.total) - row.target;
      if (!dx) continue;
      float* line = dx + i * width;
      const float shared = layer.scale / row.total, own = -layer.scale * all.slope(row.target);
      kernels().decodeFloat(view, labels[i], 0, width, target);
      kernels().binaryRun(Binary::multiply, line, false, &shared, true, line, width);
      kernels().binaryRun(Binary::multiply, target, false, &own, true, target, width);
      kernels().addRun(target, line, width);
    }
  });
}

}  // namespace peft
