/** Layer norm and RMS norm: cpp/binding/norms.cc. */

type F32 = Float32Array;

/** Norms over the last axis, and their gradients. */
export interface NormFunctions {
  /** y `[N, D]`, mean `[N]`, inverseStd `[N]`. */
  layerNorm(
    x: F32,
    gamma: F32,
    beta: F32,
    y: F32,
    mean: F32,
    inverseStd: F32,
    n: number,
    d: number,
    epsilon: number,
  ): void;
  /** dx `[N, D]`, dgamma, dbeta `[D]`; null where not needed. */
  layerNormGradient(
    x: F32,
    gamma: F32,
    mean: F32,
    inverseStd: F32,
    dy: F32,
    dx: F32 | null,
    dgamma: F32 | null,
    dbeta: F32 | null,
    n: number,
    d: number,
  ): void;
  rmsNorm(
    x: F32,
    gamma: F32,
    y: F32,
    inverseRms: F32,
    n: number,
    d: number,
    epsilon: number,
    gammaOffset: number,
  ): void;
  rmsNormGradient(
    x: F32,
    gamma: F32,
    inverseRms: F32,
    dy: F32,
    dx: F32 | null,
    dgamma: F32 | null,
    n: number,
    d: number,
    gammaOffset: number,
  ): void;
}
