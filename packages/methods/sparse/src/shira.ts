/**
 * SHiRA: few weights of a layer are trained where they stand, spread at random. Bhardwaj et al. 2024,
 * "Sparse High Rank Adapters":
 *
 *   y = base(x) + Δ·x,  Δ zero but at r·(in + out) places        values `[r·(in + out)]`
 *
 * That is as many numbers as LoRA of rank r has. The places `[2, …]` (rows, columns) come from a
 * seed as PyTorch draws them, and the file holds them.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { definePeftMethod, normal, optionTable, queryValueTargets, zeros } from '@peft/core';
import { PeftError } from '@peft/errors';
import { linear, torchPermutation } from '@peft/ops';
import { sparseMatrix } from './sparse-matrix.js';

/** Options of SHiRA. */
export interface ShiraConfig {
  /** r. Default 32. */
  readonly rank: number;
  /** Seed of the places. Default: what PyTorch's own generator starts with. */
  readonly seed: number | undefined;
  /** Start at zero. `false`: N(0, 1), for tests. Default true. */
  readonly initWeights: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    shira: ShiraConfig;
  }
}

/** `torch.Generator()`'s. */
const DEFAULT_SEED = 67280421310721;

/**
 * The SHiRA method: `shira({ rank: 32 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const shira = definePeftMethod({
  name: 'shira',
  peftType: 'SHIRA',
  peftCommonKeys: ['target_modules', 'modules_to_save'],
  formula: 'y = base(x) + Δ·x, Δ at r·(in + out) random places',
  paper: { title: 'Sparse High Rank Adapters', url: 'https://arxiv.org/abs/2406.13175' },
  ...optionTable<ShiraConfig>(
    'shira',
    {
      rank: { default: 32, is: 'positiveInteger', peft: 'r' },
      seed: { default: undefined, is: 'nonNegativeInteger', peft: 'random_seed' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    },
    { fanInFanOut: true, fixed: { mask_type: 'random' } },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, { rank, seed = DEFAULT_SEED, initWeights }, context) {
      const { inFeatures, outFeatures } = site;
      const count = rank * (inFeatures + outFeatures);
      if (count > inFeatures * outFeatures)
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `shira: rank ${rank} asks for ${count} weights of ${site.path}, which has ${inFeatures * outFeatures}.`,
          { hint: 'lower the rank' },
        );
      const values = context.param('shira_weight', [count], initWeights ? zeros : normal(1));
      const places = context.param(
        'shira_indices',
        [2, count],
        () => {
          const flat = torchPermutation(seed, inFeatures * outFeatures, count);
          flat.sort((a, b) => a - b);
          return Int32Array.from([
            ...flat.map((at) => Math.floor(at / inFeatures)),
            ...flat.map((at) => at % inFeatures),
          ]);
        },
        { trainable: false, storedAs: 'I32', below: [outFeatures, inFeatures] },
      );
      let strength = 1;
      const update = (): Tensor2D => {
        const [rows, columns] = tf.unstack(places.value) as [Tensor1D, Tensor1D];
        const flat = tf.add<Tensor1D>(tf.mul(rows, tf.scalar(inFeatures, 'int32')), columns);
        return sparseMatrix(tf.mul<Tensor1D>(values.value, strength), flat, [
          outFeatures,
          inFeatures,
        ]);
      };
      return {
        forward: (x, base) => tf.add(base(x), linear(x, update())),
        merge: ({ weight, bias }) => ({ weight: tf.add(weight, update()), bias }),
        rescale: (factor) => void (strength *= factor),
      };
    },
  },
});
