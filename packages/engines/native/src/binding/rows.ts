/** Rows and columns of activations: cpp/binding/rows.cc. */

type F32 = Float32Array;

/** Operations that read whole rows or columns of `[N, D]`. */
export interface RowFunctions {
  /**
   * x, y `[N, heads·E]`; cos, sin `[T, halfRotary]`; positions `[N]`, each < T. In place allowed.
   */
  rope(
    x: F32,
    cos: F32,
    sin: F32,
    positions: Int32Array,
    y: F32,
    n: number,
    heads: number,
    headSize: number,
    halfRotary: number,
    inverse: boolean,
    interleaved: boolean,
  ): void;
  /** In place allowed. Element i is numbered i (low 32 bits). */
  dropout(x: F32, y: F32, length: number, rate: number, key0: number, key1: number): void;
  /** y = x ⊙ scale. In place allowed. */
  scaleColumns(x: F32, scale: F32, y: F32, n: number, d: number): void;
  scaleColumnsGradient(
    x: F32,
    scale: F32,
    dy: F32,
    dx: F32 | null,
    dscale: F32 | null,
    n: number,
    d: number,
  ): void;
  /** y `[D]` = Σ_n x[n]. */
  sumRows(x: F32, y: F32, n: number, d: number): void;
  /**
   * loss, logSumExp `[N]`; labels `[N]`, −100 is left out (loss 0); another label outside [0, V) is
   * an error.
   */
  crossEntropy(
    logits: F32,
    labels: Int32Array,
    loss: F32,
    logSumExp: F32,
    n: number,
    v: number,
  ): void;
  /** In place allowed (dlogits over logits). */
  crossEntropyGradient(
    logits: F32,
    labels: Int32Array,
    logSumExp: F32,
    dloss: F32,
    dlogits: F32,
    n: number,
    v: number,
  ): void;
  /** y[n] = x[rows[n]]. x `[M, D]`, y `[rows.length, D]`. */
  gatherRows(x: F32, rows: Int32Array, y: F32, m: number, d: number): void;
  /** y `[size, D]`, zeroed first, y[rows[n]] += x[n] in order of n. */
  scatterAddRows(x: F32, rows: Int32Array, y: F32, size: number, d: number): void;
}
