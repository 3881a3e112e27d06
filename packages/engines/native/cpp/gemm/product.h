// One matrix product over packed operands, by all threads or by the calling one.
#pragma once
#include <cstdint>
#include "../core/matrix-view.h"
#include "../core/operation-codes.h"

namespace peft {

/** What is made of each block of sums while it is in the cache: out = f(sums + bias). */
struct Epilogue {
  Activation kind;
  float* sums;  // as `out`: where sums + bias are kept, or null
};

/** A further product of the same rows and columns, float32 and at most kMostAddedDepth deep. */
struct Addition {
  int64_t depth;
  MatrixView s, v;
  bool sTransposed, vTransposed;  // stored [depth, rows], [depth, columns]
};

/** Deeper ones would take more than one pass. */
constexpr int64_t kMostAddedDepth = 384;

/**
 * out = S·Vᵀ (+ bias), see core/product-kernels.h. The order of every sum and the rounding of its
 * operands depend on `depth` and `bf16` alone: not on the number of rows or columns, on which
 * operand is S, on the threads. A row of a result therefore has the same bits in whatever company.
 */
struct Product {
  int64_t rows = 0;     // of S
  int64_t columns = 0;  // of V
  int64_t depth = 0;    // k
  MatrixView s;
  bool sTransposed = false;  // stored [k, rows]
  int64_t sRow = 0;          // of the matrix as stored, at which S begins
  MatrixView v;
  bool vTransposed = false;  // stored [columns, k]
  int64_t vRow = 0;          // and V
  /** Which operand is packed whole before the tiles start; the other is packed by each task, and
   * should be the frozen one. */
  bool shareS = false;
  float* out = nullptr;
  int64_t outStride = 0;
  bool outTransposed = false;   // out[v·stride + s]
  const float* bias = nullptr;  // [columns], or [rows] when outTransposed
  bool accumulate = false;
  /** Its sums are added to sums + bias of each block while they are in the cache. */
  const Addition* addition = nullptr;
  const Epilogue* epilogue = nullptr;
  bool bf16 = false;
};

/** Up to so many rows of S a stored V is better turned than taken for S. */
int64_t fewRows(bool bf16);

void multiply(const Product& product);
/** The same by the calling thread alone; may be called from a task. */
void multiplyHere(const Product& product);

}  // namespace peft
