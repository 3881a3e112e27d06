/**
 * OFT: the features that a layer reads are rotated, block by block. Qiu et al. 2023, "Controlling
 * Text-to-Image Diffusion by Orthogonal Finetuning"; rotations of the input as in Qiu et al. 2025,
 * "Orthogonal Finetuning Made Scalable":
 *
 *   y = base(x·R),  R = blockdiag(R₁ … R_n),  R_i = Cayley(Q_i)       x `[N, in]`, Q_i skew-symmetric `[S, S]`
 *
 * The parameter is the upper triangle of each Q_i: `oft_R.weight [n, S(S−1)/2]`, zero at the start.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D, Variable } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  queryValueTargets,
  unfreezeBiases,
  zeros,
  type LinearAttachment,
} from '@peft/core';
import { differentiable } from '@peft/ops';
import { cayleyExact, cayleySeries, skewSymmetric } from './cayley.js';
import { leaveOut, rotate } from './rotate.js';
import {
  blocksOf,
  fromPeftOftConfig,
  parseOftConfig,
  toPeftOftConfig,
  type OftConfig,
} from './oft-config.js';

declare module '@peft/core' {
  interface PeftConfigs {
    oft: OftConfig;
  }
}

/**
 * The OFT method: `oft({ blockSize: 32 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const oft = definePeftMethod({
  name: 'oft',
  formula: 'y = base(x·R), R of rotated blocks',
  peftType: 'OFT',
  peftCommonKeys: [
    'target_modules',
    'exclude_modules',
    'layers_to_transform',
    'layers_pattern',
    'modules_to_save',
  ],
  paper: {
    title: 'Controlling Text-to-Image Diffusion by Orthogonal Finetuning',
    url: 'https://arxiv.org/abs/2306.07280',
  },
  parseConfig: parseOftConfig,
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context): LinearAttachment {
      unfreezeBiases(config.bias, site, context);
      const { count, size } = blocksOf(site.inFeatures, config);
      const vectors = context.param(
        'oft_R.weight',
        [config.blockShare ? 1 : count, (size * (size - 1)) / 2],
        config.initWeights ? zeros : normal(0.1),
      );
      const rotations = (): Tensor3D => {
        if (config.constrained) project(vectors.value, config.epsilon);
        const skew = skewSymmetric(vectors.value, size);
        const made = config.cayleyNeumann
          ? cayleySeries(skew, config.neumannTerms)
          : cayleyExact(skew);
        return config.blockShare ? (tf.tile(made, [count, 1, 1]) as Tensor3D) : made;
      };
      return {
        forward(x, base, call) {
          const rate = config.blockShare ? 0 : config.moduleDropout;
          return base(rotate(x, leaveOut(rotations(), rate, call, 'module-dropout')));
        },
        merge: ({ weight, bias }) => ({
          weight: rotate(weight, tf.transpose(rotations(), [0, 2, 1])),
          bias,
        }),
      };
    },
  },

  toPeftConfig: toPeftOftConfig,
  fromPeftConfig: fromPeftOftConfig,
});

/**
 * COFT: shortens Q where its Frobenius norm, √2 times the vector's length, exceeds ε/√n. In place,
 * off the tape.
 */
function project(vectors: Variable, epsilon: number): void {
  const limit = epsilon / Math.sqrt(vectors.shape[0]!);
  const shortened = differentiable<never, Tensor2D>(
    {},
    () =>
      tf.tidy(() => {
        const norm = tf.mul(tf.norm(vectors, 2, 1, true), Math.SQRT2);
        const isLonger = tf.greater(norm, limit * (1 + 1e-6)); // rounding of the last time
        return tf.mul(vectors, tf.where(isLonger, tf.div(limit, norm), tf.onesLike(norm)));
      }),
    () => ({}),
  );
  vectors.assign(shortened);
  shortened.dispose();
}
