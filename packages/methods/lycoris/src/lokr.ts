/**
 * LoKr: the update is a Kronecker product of a small and a larger matrix, either of them low-rank.
 * Edalati et al. 2022, "KronA"; Yeh et al. 2024, LyCORIS:
 *
 *   y = base(x) + s·x·(W₁ ⊗ W₂)ᵀ        W₁ `[l, m]`, W₂ `[k, n]`, l·k = out, m·n = in, s = α/r
 *
 * The product is never made: with x as `[N, m, n]`, W₂ works on the last axis and W₁ on the middle
 * one.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  queryValueTargets,
  zeros,
  type AttachContext,
  type SiteHandle,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import { linear } from '@peft/ops';
import { factorization } from './factorization.js';
import {
  dropUpdate,
  fromPeftLycorisConfig,
  LYCORIS_COMMON_KEYS,
  LYCORIS_KEYS,
  parseLycorisConfig,
  refuseUnmatched,
  strengthOf,
  toPeftLycorisConfig,
  type LycorisConfig,
} from './lycoris-config.js';

/** Options of LoKr. */
export interface LokrConfig extends Omit<LycorisConfig, 'initWeights'> {
  /**
   * Start with W₁ at zero; `lycoris`: with W₂ at zero, as that library does. `false`: random, for
   * tests. Default true.
   */
  readonly initWeights: boolean | 'lycoris';
  /** The small matrix is low-rank, too, where that saves parameters. Default false. */
  readonly decomposeBoth: boolean;
  /**
   * Size of the small matrix: this number where it divides, −1 for the most balanced sizes. Default
   * −1.
   */
  readonly decomposeFactor: number;
  /** Scale what rank dropout leaves so that its mean stays. Default false. */
  readonly rankDropoutScale: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    lokr: LokrConfig;
  }
}

/**
 * The LoKr method: `lokr({ rank: 8, alpha: 8, targets: ['query', 'value'] })`.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const lokr = definePeftMethod({
  name: 'lokr',
  formula: 'y = base(x) + s·(W₁ ⊗ W₂)·x',
  peftType: 'LOKR',
  peftCommonKeys: LYCORIS_COMMON_KEYS,
  paper: {
    title: 'KronA: Parameter Efficient Tuning with Kronecker Adapter',
    url: 'https://arxiv.org/abs/2212.10650',
  },

  parseConfig(input): LokrConfig {
    check.knownKeys('lokr', input, [
      ...LYCORIS_KEYS,
      'decomposeBoth',
      'decomposeFactor',
      'rankDropoutScale',
    ]);
    const { decomposeBoth = false, decomposeFactor = -1, rankDropoutScale = false } = input;
    check.boolean('lokr', 'decomposeBoth', decomposeBoth);
    check.boolean('lokr', 'rankDropoutScale', rankDropoutScale);
    if (!Number.isInteger(decomposeFactor) || (decomposeFactor < 1 && decomposeFactor !== -1))
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `lokr: decomposeFactor must be a positive integer or -1, got ${show(decomposeFactor)}.`,
      );
    const { initWeights = true, ...others } = input;
    if (initWeights !== 'lycoris') check.boolean('lokr', 'initWeights', initWeights);
    return Object.freeze({
      ...parseLycorisConfig('lokr', others),
      initWeights,
      decomposeBoth,
      decomposeFactor,
      rankDropoutScale,
    });
  },

  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      refuseUnmatched('lokr', config, context);
      const { rank, scaling } = strengthOf(site.path, config);
      const [m, n] = factorization(site.inFeatures, config.decomposeFactor);
      const [l, k] = factorization(site.outFeatures, config.decomposeFactor);
      const small = matrix(
        'lokr_w1',
        l,
        m,
        config.decomposeBoth ? rank : undefined,
        config.initWeights === true ? 'first' : undefined,
        context,
      );
      const isLycoris = config.initWeights === 'lycoris';
      const large = matrix('lokr_w2', k, n, rank, isLycoris ? 'last' : undefined, context);
      let strength = scaling;
      const added = (x: Tensor2D): Tensor2D => {
        const rows = x.shape[0];
        const inner = large.apply(tf.reshape(x, [rows * m, n])); // [N·m, k]
        // [N, k, m]
        const turned = tf.transpose(tf.reshape(inner, [rows, m, k]) as Tensor3D, [0, 2, 1]);
        const outer = small.apply(tf.reshape(turned, [rows * k, m])); // [N·k, l]
        return tf.reshape(
          tf.transpose(tf.reshape(tf.mul(outer, strength), [rows, k, l]) as Tensor3D, [0, 2, 1]),
          [rows, l * k],
        );
      };
      return {
        forward: (x, base, call) =>
          tf.add(base(x), dropUpdate(added(x), config, call, config.rankDropoutScale)),
        merge: ({ weight, bias }) => ({
          weight: tf.add(weight, kronecker(site, small.full(), large.full(), strength)),
          bias,
        }),
        rescale: (factor) => void (strength *= factor),
      };
    },
  },

  toPeftConfig: (config) => ({
    ...toPeftLycorisConfig({ ...config, initWeights: true }),
    init_weights: config.initWeights,
    decompose_both: config.decomposeBoth,
    decompose_factor: config.decomposeFactor,
    rank_dropout_scale: config.rankDropoutScale,
  }),
  fromPeftConfig: ({ init_weights: init = true, ...json }) => ({
    ...fromPeftLycorisConfig('lokr', json),
    initWeights: init as LokrConfig['initWeights'],
    decomposeBoth: (json['decompose_both'] ?? false) as boolean,
    decomposeFactor: (json['decompose_factor'] ?? -1) as number,
    rankDropoutScale: (json['rank_dropout_scale'] ?? false) as boolean,
  }),
});

interface Matrix {
  /** x·Wᵀ. */ apply(x: Tensor2D): Tensor2D;
  full(): Tensor2D;
}

/**
 * A matrix `[rows, columns]`, as a product of two where a rank is given and small enough to pay.
 * @param zero which factor starts at zero, if any; of a whole one either means the whole
 */
function matrix(
  name: string,
  rows: number,
  columns: number,
  rank: number | undefined,
  zero: 'first' | 'last' | undefined,
  context: AttachContext,
): Matrix {
  if (rank === undefined || rank >= Math.max(rows, columns) / 2) {
    const whole = context.param(name, [rows, columns], zero ? zeros : kaimingUniform);
    return { apply: (x) => linear(x, whole.value), full: () => tf.clone(whole.value) };
  }
  const [first, last] = [zero === 'first', zero === 'last'];
  const up = context.param(`${name}_a`, [rows, rank], first ? zeros : kaimingUniform);
  const down = context.param(`${name}_b`, [rank, columns], last ? zeros : kaimingUniform);
  return {
    apply: (x) => linear(linear(x, down.value), up.value),
    full: () => tf.matMul(up.value, down.value),
  };
}

/** s·W₁ ⊗ W₂ `[l·k, m·n]`. */
function kronecker(
  site: SiteHandle<'linear'>,
  small: Tensor2D,
  large: Tensor2D,
  strength: number,
): Tensor2D {
  const [l, m] = small.shape;
  const [k, n] = large.shape;
  const blocks = tf.mul(
    tf.reshape(small, [l, 1, m, 1]),
    tf.reshape(tf.mul(large, strength), [1, k, 1, n]),
  );
  return tf.reshape(blocks, [site.outFeatures, site.inFeatures]);
}
