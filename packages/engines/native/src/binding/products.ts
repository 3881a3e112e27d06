/** Products of tensors: cpp/binding/products.cc. */

type F32 = Float32Array;

/** The matrix product, batched, and what low-rank adapters add. */
export interface ProductFunctions {
  /**
   * c[i] = op(a[batchA[i]])·op(b[batchB[i]]) for i < batch; op transposes where asked. a `[·, m,
   * k]` (`[·, k, m]` transposed), b `[·, k, n]` (`[·, n, k]`), c `[batch, m, n]`. A null batch
   * index means i. `accumulate` adds to c.
   */
  matmul(
    a: F32,
    b: F32,
    c: F32,
    batch: number,
    m: number,
    n: number,
    k: number,
    transposeA: boolean,
    transposeB: boolean,
    batchA: Int32Array | null,
    batchB: Int32Array | null,
    accumulate: boolean,
    bf16: boolean,
  ): void;
  /**
   * out[n] = y[n] + scales[p]·x[n]·a[p]ᵀ·b[p]ᵀ for the rows n that are rows[ends[p−1]] … rows[ends[p]],
   * y[n] for all others. y, out `[n, width]`, x `[n, depth]`, a[p] `[r, depth]`, b[p] `[width, r]`; no
   * row is there twice.
   */
  addThinProducts(
    y: F32,
    x: F32,
    out: F32,
    n: number,
    width: number,
    depth: number,
    rows: Int32Array,
    ends: Int32Array,
    a: readonly F32[],
    b: readonly F32[],
    ranks: Int32Array,
    scales: Float64Array,
  ): void;
}
