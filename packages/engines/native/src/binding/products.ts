/** Products of tensors: cpp/binding/products.cc. */

type F32 = Float32Array;

/** The matrix product, batched. */
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
}
