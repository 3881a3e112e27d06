// Products of tensors: one matrix, or a batch with repeated operands.
#include "../core/arena.h"
#include "../core/thread-pool.h"
#include "../gemm/product.h"
#include "exports.h"

namespace peft {
namespace {

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
    // Few rows against a wide operand: pack the rows once, and let the tasks take columns.
    p.shareS = n > m && m <= 512;
    return p;
  };
  if (batch == 1) {
    multiply(productOf(0));
  } else {
    parallel(batch, [&](int64_t i) { multiplyHere(productOf(i)); });
  }
  return nullptr;
}

}  // namespace

void exportProducts(Exports& exports) {
  exports.push_back({"matmul", call<matmul>});
}

}  // namespace peft
