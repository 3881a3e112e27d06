// Products of tensors: one matrix, a batch with repeated operands, or what low-rank adapters add.
#include <cstring>

#include "../core/arena.h"
#include "../core/thread-pool.h"
#include "../gemm/product.h"
#include "exports.h"

namespace peft {
namespace {

constexpr int64_t kElements = 32768;  // that make a task worth sending to another thread
/** So few rows against a wide operand are packed once, and the tasks take columns. */
constexpr int64_t kFewRows = 512;

/** Matrices of which one is given are numbered by `index`, or 0 … batch−1. Returns how many
 * elements the array must have. */
int64_t neededBy(const Arguments& a, const int32_t* index, int64_t batch, int64_t matrix,
                 const char* name) {
  int64_t last = batch - 1;
  if (index) {
    last = -1;
    for (int64_t i = 0; i < batch; i++) {
      if (index[i] < 0) a.fail(std::string(name) + " has a negative entry");
      last = std::max<int64_t>(last, index[i]);
    }
  }
  return product(last + 1, matrix);
}

/** out = s·vᵀ, s `[rows, depth]`, v `[columns, depth]`. */
Product thinProduct(const float* s, const float* v, float* out, int64_t rows, int64_t columns,
                    int64_t depth) {
  Product p;
  p.rows = rows;
  p.columns = columns;
  p.depth = depth;
  p.s = denseView(s, depth);
  p.v = denseView(v, depth);
  p.vTransposed = true;
  p.out = out;
  p.outStride = columns;
  p.shareS = columns > rows && rows <= kFewRows;
  return p;
}

napi_value matmul(const Arguments& a) {
  const int64_t batch = a.size(3, "batch"), m = a.size(4, "m"), n = a.size(5, "n"),
                k = a.size(6, "k");
  const bool transposeA = a.boolean(7, "transposeA"), transposeB = a.boolean(8, "transposeB");
  const int32_t* batchA = a.optionalIntegers(9, "batchA", batch);
  const int32_t* batchB = a.optionalIntegers(10, "batchB", batch);
  const bool accumulate = a.boolean(11, "accumulate"), bf16 = a.boolean(12, "bf16");
  const int64_t sizeA = product(m, k), sizeB = product(k, n), sizeC = product(m, n);
  const float* left = a.floats(0, "a", neededBy(a, batchA, batch, sizeA, "batchA"));
  const float* right = a.floats(1, "b", neededBy(a, batchB, batch, sizeB, "batchB"));
  float* out = a.floats(2, "c", product(batch, sizeC));
  if (batch == 0 || sizeC == 0) return nullptr;
  auto productOf = [&](int64_t i) {
    Product p;
    p.rows = m;
    p.columns = n;
    p.depth = k;
    p.s = denseView(left + (batchA ? batchA[i] : i) * sizeA, transposeA ? m : k);
    p.sTransposed = transposeA;
    p.v = denseView(right + (batchB ? batchB[i] : i) * sizeB, transposeB ? k : n);
    p.vTransposed = transposeB;
    p.out = out + i * sizeC;
    p.outStride = n;
    p.accumulate = accumulate;
    p.bf16 = bf16;
    p.shareS = n > m && m <= kFewRows;
    return p;
  };
  if (batch == 1) {
    multiply(productOf(0));
  } else {
    parallel(batch, [&](int64_t i) { multiplyHere(productOf(i)); });
  }
  return nullptr;
}

/** What one low-rank adapter adds: scale·x·Aᵀ·Bᵀ of some rows. */
struct ThinProduct {
  const float* a;  // [rank, depth]
  const float* b;  // [width, rank]
  int64_t rank;
  float scale;
  const int32_t* rows;
  int64_t count;
};

napi_value addThinProducts(const Arguments& a) {
  const auto ofA = a.elements(8, "a"), ofB = a.elements(9, "b");
  const auto lefts = a.floatArrays(ofA, "a"), rights = a.floatArrays(ofB, "b");
  const int64_t n = a.size(3, "n"), width = a.size(4, "width"), depth = a.size(5, "depth"),
                products = static_cast<int64_t>(lefts.size());
  if (lefts.size() != rights.size()) a.fail("a and b must be equally many");
  const float* y = a.floats(0, "y", product(n, width));
  const float* x = a.floats(1, "x", product(n, depth));
  float* out = a.floats(2, "out", product(n, width));
  const int64_t total = a.length(6, "rows");
  const int32_t* rows = a.integers(6, "rows", total);
  const int32_t* ends = a.integers(7, "ends", products);
  const int32_t* ranks = a.integers(10, "ranks", products);
  const double* scales = a.doubles(11, "scales", products);
  std::vector<bool> isTaken(static_cast<size_t>(n));
  for (int64_t i = 0; i < total; i++) {
    if (rows[i] < 0 || rows[i] >= n)
      a.fail("row " + std::to_string(rows[i]) + " is outside the " + std::to_string(n) + " rows");
    if (isTaken[static_cast<size_t>(rows[i])])
      a.fail("row " + std::to_string(rows[i]) + " is there twice");
    isTaken[static_cast<size_t>(rows[i])] = true;
  }
  std::vector<ThinProduct> all;
  for (int64_t p = 0, begin = 0; p < products; begin = ends[p++]) {
    if (ends[p] < begin || ends[p] > total) a.fail("ends must rise up to the number of rows");
    if (ranks[p] < 0) a.fail("ranks has a negative entry");
    const size_t at = static_cast<size_t>(p);
    if (lefts[at].length < product(ranks[p], depth) || rights[at].length < product(width, ranks[p]))
      a.fail("a or b of product " + std::to_string(p) + " is too short");
    all.push_back({lefts[at].data, rights[at].data, ranks[p], static_cast<float>(scales[p]),
                   rows + begin, ends[p] - begin});
  }
  parallelRanges(n * width, kElements, 64, [&](int64_t begin, int64_t end) {
    std::memcpy(out + begin, y + begin, static_cast<size_t>(end - begin) * 4);
  });
  const auto add = [&](const ThinProduct& p, auto&& multiplied) {
    float* chosen = scratch<float>(Scratch::kThinRows, p.count * depth);
    float* narrow = scratch<float>(Scratch::kThinNarrow, p.count * p.rank);
    float* sums = scratch<float>(Scratch::kThinSums, p.count * width);
    for (int64_t i = 0; i < p.count; i++)
      std::memcpy(chosen + i * depth, x + p.rows[i] * depth, static_cast<size_t>(depth) * 4);
    multiplied(thinProduct(chosen, p.a, narrow, p.count, p.rank, depth));
    for (int64_t i = 0; i < p.count * p.rank; i++) narrow[i] *= p.scale;
    multiplied(thinProduct(narrow, p.b, sums, p.count, width, p.rank));
    for (int64_t i = 0; i < p.count; i++) {
      float* row = out + p.rows[i] * width;
      for (int64_t j = 0; j < width; j++) row[j] += sums[i * width + j];
    }
  };
  // Adapters for every thread: each takes its own. Otherwise the threads share each product.
  if (products >= threadCount())
    parallel(products, [&](int64_t p) { add(all[static_cast<size_t>(p)], multiplyHere); });
  else
    for (const ThinProduct& p : all) add(p, multiply);
  return nullptr;
}

}  // namespace

void exportProducts(Exports& exports) {
  exports.push_back({"matmul", call<matmul>});
  exports.push_back({"addThinProducts", call<addThinProducts>});
}

}  // namespace peft
