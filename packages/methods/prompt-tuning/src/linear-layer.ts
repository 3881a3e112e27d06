/**
 * A linear layer of a prompt network: y = x·Wᵀ + b, started as torch's `nn.Linear`: both U(−1/√in,
 * 1/√in).
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  kaimingUniform,
  uniform,
  zeros,
  type AttachContext,
  type MatrixParameter,
  type VectorParameter,
} from '@peft/core';
import { linear } from '@peft/ops';

export interface LinearLayer {
  readonly weight: MatrixParameter; // [out, in]
  readonly bias: VectorParameter; // [out]
  (x: Tensor2D): Tensor2D;
}

/** A layer that all sites of an adapter share. @param start `zero`: both are 0. */
export function sharedLinear(
  name: string,
  [outFeatures, inFeatures]: readonly [number, number],
  context: AttachContext,
  start: 'torch' | 'zero' = 'torch',
): LinearLayer {
  const bound = 1 / Math.sqrt(inFeatures);
  const weight = context.sharedParam(
    `${name}.weight`,
    [outFeatures, inFeatures],
    start === 'zero' ? zeros : kaimingUniform,
  );
  const bias = context.sharedParam(
    `${name}.bias`,
    [outFeatures],
    start === 'zero' ? zeros : uniform(-bound, bound),
  );
  return Object.assign((x: Tensor2D) => linear(x, weight.value, bias.value), { weight, bias });
}
