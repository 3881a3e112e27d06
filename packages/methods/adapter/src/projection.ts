import type { Tensor2D } from '@tensorflow/tfjs';

/** A map from one width to another, by its own parameters: x `[N, in]` → `[N, out]`. */
export type Projection = (x: Tensor2D) => Tensor2D;
