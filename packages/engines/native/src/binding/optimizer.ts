/** The optimiser: cpp/binding/optimizer.cc. */

type F32 = Float32Array;

/** Operations on many parameters at once. */
export interface OptimizerFunctions {
  /** √(Σ over all arrays of x²), summed in double precision in a fixed order. */
  l2Norm(arrays: readonly F32[]): number;
  /**
   * torch's AdamW for many tensors at once, with the numbers of each tensor in `stepSizes` lr/(1 −
   * β1ᵗ), `rootCorrections` √(1 − β2ᵗ) and `shrinks` 1 − lr·decay: g = float32(grad·gradientScale);
   * m += (g − m)(1 − β1); v = β2·v + (1 − β2)·g²; p = shrink·p − stepSize·m/(√v/rootCorrection +
   * ε), in double precision, m and v rounded when they are stored.
   */
  adamW(
    parameters: readonly F32[],
    gradients: readonly F32[],
    m: readonly F32[],
    v: readonly F32[],
    stepSizes: Float64Array,
    rootCorrections: Float64Array,
    shrinks: Float64Array,
    beta1: number,
    beta2: number,
    epsilon: number,
    gradientScale: number,
  ): void;
}
