/**
 * What FourierFT and WaveFT have in common: an update with few coefficients c_k in a fixed basis,
 *
 *   Δ = s·Σ_k c_k·l_k·r_kᵀ = s·L·diag(c)·Rᵀ        L `[out, K]`, R `[in, K]`, c `[K]`
 *
 * so that y = base(x) + s·((x·R) ⊙ c)·Lᵀ, and Δ is never made in the forward pass. The places of the
 * coefficients are drawn as PyTorch draws them; layers of one shape share them.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  unfreezeBiases,
  type AttachContext,
  type Initializer,
  type LinearAttachment,
  type LinearSite,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { linear, scaleColumns, torchPermutation } from '@peft/ops';

/** Columns of L and R that a coefficient at a place has; their number is the same for all. */
export interface Basis {
  /** @returns l_k·r_kᵀ as one or more pairs of functions of the row and of the column */
  readonly pairs: readonly {
    left(output: number, place: Place): number;
    right(input: number, place: Place): number;
  }[];
}
/** Row and column of a coefficient in a matrix of the weight's shape. */
export interface Place {
  readonly row: number;
  readonly column: number;
}

/** What a spectral method says of one layer. */
export interface SpectralLayer {
  /** Its name in the file. */
  readonly name: string;
  readonly count: number;
  readonly seed: number;
  readonly scaling: number;
  readonly start: Initializer;
  readonly bias: string;
  /** A word for the basis, and the basis itself. */
  readonly basisName: string;
  readonly basis: Basis;
}

/** @throws PEFT_CONFIG_INVALID for more coefficients than the weight has elements */
export function spectralLinear(
  { path, bias: biasName, inFeatures, outFeatures }: LinearSite,
  { name, count, seed, scaling, start, bias, basisName, basis }: SpectralLayer,
  context: AttachContext,
): LinearAttachment {
  if (count > inFeatures * outFeatures)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${name.split('_')[0]}: ${path} has ${inFeatures * outFeatures} weights, got ${count} frequencies.`,
    );
  unfreezeBiases(bias, biasName === undefined ? {} : { bias: biasName }, context);
  const coefficients = context.param(name, [count], start);
  const { pairs } = basis;
  const columns = pairs.length * count;
  const places = () =>
    context.shared(`${basisName} places ${outFeatures} ${inFeatures} ${count}`, () =>
      torchPermutation(seed, inFeatures * outFeatures, count).map((at): Place => ({
        row: Math.floor(at / inFeatures),
        column: at % inFeatures,
      })),
    );
  const table = (side: 'left' | 'right', size: number) =>
    context.sharedParam(
      `${basisName}.${outFeatures}x${inFeatures}x${count}.${side}`,
      [size, columns],
      ([rows]) => {
        const at = places();
        return Float32Array.from({ length: rows! * columns }, (_, i) => {
          const column = i % columns;
          const pair = pairs[Math.floor(column / count)]!;
          return pair[side](Math.floor(i / columns), at[column % count]!);
        });
      },
      { trainable: false, saved: false },
    );
  const left = table('left', outFeatures);
  const right = table('right', inFeatures);
  let strength = scaling;
  const weights = (): Tensor1D => {
    const scaled = tf.mul<Tensor1D>(coefficients.value, strength);
    return pairs.length === 1 ? scaled : tf.tile(scaled, [pairs.length]);
  };
  return {
    forward(x, base) {
      const amounts = scaleColumns(tf.matMul(x, right.value), weights()); // [N, K]
      return tf.add(base(x), linear(amounts, left.value));
    },
    merge: ({ weight, bias: own }) => ({
      weight: tf.add(
        weight,
        tf.matMul(tf.mul<Tensor2D>(left.value, weights()), right.value, false, true),
      ),
      bias: own,
    }),
    rescale: (factor) => void (strength *= factor),
  };
}
