// Products with a frozen weight. Both directions read the same bytes; which operand fills the
// vectors depends on how they lie:
//   contraction along stored rows' elements (y = x·Wᵀ of [out, in]): the weight is broadcast, the
//   activations fill vectors; contraction over stored rows (dx = dy·W): the weight's rows fill
//   vectors.
#include "../core/dispatch.h"
#include "../gemm/product.h"
#include "weight.h"

namespace peft {
namespace {

/** Stored rows [first, first + count). */
struct StoredRange {
  int64_t first, count;
};

StoredRange allRows(const Weight& weight) {
  return {0, weight.shape.storedRows()};
}

MatrixView wideView(const Summand& sum) {
  return denseView(sum.wide, sum.transposed ? sum.width : sum.depth);
}

/** As an addition to a product whose S is x, or whose V is. */
Addition additionOf(const Summand& sum, bool isRowsOfS) {
  const MatrixView rows = denseView(sum.rows, sum.depth), wide = wideView(sum);
  if (isRowsOfS) return {sum.depth, rows, wide, false, !sum.transposed};
  return {sum.depth, wide, rows, sum.transposed, true};
}

/** What ends a product with a weight. */
struct End {
  const Epilogue* epilogue = nullptr;
  const Summand* summand = nullptr;
  bool accumulate = false;
};

/** Runs a product; `isRowsOfS`: x is its S. A summand too deep for the pass is added afterwards, to
 * the same bits. */
void finish(Product& p, const End& end, bool isRowsOfS) {
  p.accumulate = end.accumulate;
  p.epilogue = end.epilogue;
  if (!end.summand || end.summand->depth == 0) return multiply(p);
  const Addition addition = additionOf(*end.summand, isRowsOfS);
  if (addition.depth <= kMostAddedDepth && p.depth > 0) {
    p.addition = &addition;
    return multiply(p);
  }
  multiply(p);
  p.depth = addition.depth;
  p.s = addition.s;
  p.v = addition.v;
  p.sTransposed = addition.sTransposed;
  p.vTransposed = addition.vTransposed;
  p.sRow = p.vRow = 0;
  p.bias = nullptr;
  p.bf16 = false;
  p.accumulate = true;
  multiply(p);
}

/** out [n, rows.count] = x·storedᵀ for few rows of x: the weight fills the vectors, its rows being
 * turned, which is less work than lanes of x that stay empty. The sums are the same, see Product.
 */
void fewAlongRows(const Weight& weight, StoredRange rows, const float* x, const float* bias,
                  float* out, int64_t n, bool bf16, const End& end) {
  Product p;
  p.rows = n;
  p.columns = rows.count;
  p.depth = weight.shape.storedColumns();
  p.s = denseView(x, p.depth);
  p.shareS = true;
  p.v = weight.view();
  p.vRow = rows.first;
  p.vTransposed = true;
  p.out = out;
  p.outStride = p.columns;
  p.bias = bias;
  p.bf16 = bf16;
  finish(p, end, true);
}

/** out [n, rows.count] = x·storedᵀ. */
void alongRows(const Weight& weight, StoredRange rows, const float* x, const float* bias,
               float* out, int64_t n, bool bf16, const End& end = {}) {
  if (n <= fewRows(bf16)) return fewAlongRows(weight, rows, x, bias, out, n, bf16, end);
  Product p;
  p.rows = rows.count;
  p.columns = n;
  p.depth = weight.shape.storedColumns();
  p.s = weight.view();
  p.sRow = rows.first;
  p.v = denseView(x, p.depth);
  p.vTransposed = true;
  p.out = out;
  p.outStride = p.rows;
  p.outTransposed = true;
  p.bias = bias;
  p.bf16 = bf16;
  finish(p, end, false);
}

/** out [n, stored columns] (+)= x·stored, x [n, rows.count]. */
void overRows(const Weight& weight, StoredRange rows, const float* x, const float* bias, float* out,
              int64_t n, bool bf16, const End& end = {}) {
  Product p;
  p.rows = n;
  p.columns = weight.shape.storedColumns();
  p.depth = rows.count;
  p.s = denseView(x, p.depth);
  p.shareS = true;
  p.v = weight.view();
  p.vRow = rows.first;
  p.out = out;
  p.outStride = p.columns;
  p.bias = bias;
  p.bf16 = bf16;
  finish(p, end, true);
}

}  // namespace

void weightForward(const Weight& weight, const float* x, const float* bias, float* y, int64_t n,
                   bool bf16, const Epilogue* epilogue, const Summand* summand) {
  if (weight.shape.transposed)
    overRows(weight, allRows(weight), x, bias, y, n, bf16, {epilogue, summand});
  else
    alongRows(weight, allRows(weight), x, bias, y, n, bf16, {epilogue, summand});
}

void weightBackward(const Weight& weight, const float* dy, float* dx, int64_t n, bool bf16,
                    const Summand* summand) {
  if (weight.shape.transposed)
    alongRows(weight, allRows(weight), dy, nullptr, dx, n, bf16, {nullptr, summand});
  else
    overRows(weight, allRows(weight), dy, nullptr, dx, n, bf16, {nullptr, summand});
}

void storedRowsForward(const Weight& weight, int64_t first, int64_t count, const float* x, float* y,
                       int64_t n, bool bf16) {
  alongRows(weight, {first, count}, x, nullptr, y, n, bf16);
}

void addStoredRowsBackward(const Weight& weight, int64_t first, int64_t count, const float* dy,
                           float* dx, int64_t n, bool bf16) {
  overRows(weight, {first, count}, dy, nullptr, dx, n, bf16, {nullptr, nullptr, true});
}

}  // namespace peft
