// Products with a weight and a low-rank adapter beside it. The adapter's are float32; what it adds
// to a block of sums is added while the block is in the cache.
#include "../core/arena.h"
#include "../core/dispatch.h"
#include "../gemm/product.h"
#include "weight.h"

namespace peft {
namespace {

/** So few rows against a wide operand are packed once, and the tasks take columns. */
constexpr int64_t kFewRows = 512;

/** out [rows, columns] = s·v, each stored as said. */
struct Operands {
  const float *s, *v;
  bool sTransposed, vTransposed;  // stored [depth, rows], [columns, depth]
};

Product productOf(const Operands& of, float* out, int64_t rows, int64_t columns, int64_t depth) {
  Product p;
  p.rows = rows;
  p.columns = columns;
  p.depth = depth;
  p.s = denseView(of.s, of.sTransposed ? rows : depth);
  p.sTransposed = of.sTransposed;
  p.v = denseView(of.v, of.vTransposed ? depth : columns);
  p.vTransposed = of.vTransposed;
  p.shareS = columns > rows && rows <= kFewRows;
  p.out = out;
  p.outStride = columns;
  return p;
}

void scaleRun(float* x, int64_t count, float by) {
  if (by != 1) kernels().binaryRun(Binary::multiply, x, false, &by, true, x, count);
}

}  // namespace

void weightForwardAdded(const Weight& weight, const AddedProduct& added, const float* x,
                        const float* bias, float* y, float* narrow, int64_t n, bool bf16) {
  const int64_t rank = added.rank, width = weight.shape.rows, depth = weight.shape.columns;
  multiply(productOf({x, added.a, false, true}, narrow, n, rank, depth));
  scaleRun(narrow, n * rank, added.scale);
  const Summand summand = {narrow, added.b, rank, width, false};
  weightForward(weight, x, bias, y, n, bf16, nullptr, &summand);
}

void weightBackwardAdded(const Weight& weight, const AddedProduct& added, const float* dy,
                         const float* x, const float* narrow, const AddedGradients& gradients,
                         int64_t n, bool bf16) {
  const int64_t rank = added.rank, width = weight.shape.rows, depth = weight.shape.columns;
  if (gradients.db) {  // made as its transpose, so that dy fills vectors as it lies
    Product p = productOf({narrow, dy, true, false}, gradients.db, rank, width, n);
    p.outTransposed = true;
    p.outStride = rank;
    multiply(p);
  }
  if (!gradients.da && !gradients.dx) return;
  float* dnarrow = scratch<float>(Scratch::kThinNarrow, n * rank);
  multiply(productOf({dy, added.b, false, false}, dnarrow, n, rank, width));
  scaleRun(dnarrow, n * rank, added.scale);
  if (gradients.da) multiply(productOf({dnarrow, x, true, false}, gradients.da, rank, depth, n));
  const Summand summand = {dnarrow, added.a, rank, depth, true};
  if (gradients.dx) weightBackward(weight, dy, gradients.dx, n, bf16, &summand);
}

}  // namespace peft
