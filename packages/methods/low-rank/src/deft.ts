/**
 * DEFT: what the weight does within a learned subspace is taken out, and a learned map put in its
 * place. Kumar et al. 2025, "DEFT: Decompositional Efficient Fine-Tuning for Text-to-Image Models":
 *
 *   W' = W − Q·Gᵀ·W + s·Q·R          P `[out, r]`, R `[r, in]`
 *
 * `relu`: Q = P, G = relu(P); `qr`: Q = G = orthonormal columns of P, by QR. R starts at Gᵀ·W/s, so
 * that nothing changes; with `projectionOnly` there is no R, and what is taken out stays out.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  LAYERED_KEYS,
  normal,
  optionTable,
  queryValueTargets,
  unfreezeBiases,
  type Initializer,
} from '@peft/core';
import { linear } from '@peft/ops';
import { orthonormalColumns } from './orthonormal-columns.js';

/** Options of DEFT. */
export interface DeftConfig {
  /** r, at most the layer's outputs. Default 8. */
  readonly rank: number;
  /** How Q and G come from P. Default `relu`. */
  readonly decomposition: 'relu' | 'qr';
  /** R's standard deviation over 0.02 where `initWeights` is false. Default 1. */
  readonly initScale: number;
  /** α: s = α/r. Default: s = 1. */
  readonly alpha: number | undefined;
  /** Only take the subspace out (PaRa), without R. Default false. */
  readonly projectionOnly: boolean;
  /** Share of the inputs of R that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** R starts so that nothing changes. `false`: random. Default true. */
  readonly initWeights: boolean;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'deft_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    deft: DeftConfig;
  }
}

/**
 * The DEFT method: `deft({ rank: 8, decomposition: 'qr' })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const deft = definePeftMethod({
  name: 'deft',
  peftType: 'DEFT',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) − Q·Gᵀ·W·x + s·Q·R·x',
  paper: {
    title: 'DEFT: Decompositional Efficient Fine-Tuning for Text-to-Image Models',
    url: 'https://arxiv.org/abs/2509.22793',
  },
  ...optionTable<DeftConfig>(
    'deft',
    {
      rank: { default: 8, is: 'positiveInteger', peft: 'r' },
      decomposition: { default: 'relu', is: ['relu', 'qr'], peft: 'decomposition_method' },
      initScale: { default: 1, is: 'positive', peft: 'init_scale' },
      alpha: { default: undefined, is: 'positive', peft: 'alpha' },
      projectionOnly: { default: false, is: 'boolean', peft: 'para' },
      dropout: { default: 0, is: 'probability', peft: 'deft_dropout' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
      bias: { default: 'none', is: ['none', 'all', 'deft_only'], peft: 'bias' },
    },
    { fanInFanOut: true },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const rank = Math.min(config.rank, site.outFeatures);
      let scaling = config.alpha === undefined ? 1 : config.alpha / rank;
      const p = context.param('deft_P', [site.outFeatures, rank], normal(0.02));
      /** Q and G `[out, r]`. */
      const projection = (): readonly [Tensor2D, Tensor2D] => {
        const own = p.value;
        if (config.decomposition === 'relu') return [own, tf.relu(own)];
        const columns = orthonormalColumns(own);
        return [columns, columns];
      };
      const fromWeight: Initializer = () =>
        tf.tidy(() => {
          const kept = tf.matMul(projection()[1], site.dequantizedWeight(), true);
          return tf.div(kept, scaling).dataSync<'float32'>().slice();
        });
      const r = config.projectionOnly
        ? undefined
        : context.param(
            'deft_R',
            [rank, site.inFeatures],
            config.initWeights ? fromWeight : normal(0.02 * config.initScale),
          );
      return {
        forward(x, base, call) {
          const [q, g] = projection();
          const y = base(x);
          const bias = site.biasInForce();
          const bare: Tensor2D = bias ? tf.sub(y, bias) : y;
          const taken = tf.matMul<Tensor2D>(bare, g); // [N, r]
          if (!r) return tf.sub(y, linear(taken, q));
          const put = linear(call.dropout(x, config.dropout), r.value);
          const change = tf.sub<Tensor2D>(tf.mul<Tensor2D>(put, scaling), taken);
          return tf.add(y, linear(change, q));
        },
        merge({ weight, bias }) {
          const [q, g] = projection();
          const taken = tf.matMul(g, weight, true);
          const change = r ? tf.sub(tf.mul(r.value, scaling), taken) : tf.neg(taken);
          return { weight: tf.add(weight, tf.matMul(q, change as Tensor2D)), bias };
        },
        rescale: (factor) => void (scaling *= factor),
      };
    },
  },
});
