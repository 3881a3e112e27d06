/**
 * Lily: layers share their up projections, and a router in each weighs them. Zhong et al. 2024,
 * "Low-Rank Interconnected Adaptation Across Layers":
 *
 *   y = base(x) + s·h·Σ_e p_e·B_e,  h = x·Aᵀ,  p = mean over the tokens of softmax(h·Rᵀ)
 *
 * A `[r, in]`, B `[E·r, out]` holds E experts B_e `[r, out]`, R `[E, r]`. All layers of one name and
 * shape share B; `strideA` neighbours share A. The mean runs over every token of the batch, so that
 * a sequence's result depends on its batch: it can neither be merged nor mixed. (PEFT counts
 * padding among the tokens; here there is none unless the batch has it.)
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  kaimingUniform,
  LAYERED_KEYS,
  optionTable,
  queryValueTargets,
  zeros,
  type AttachContext,
  type Initializer,
  type LinearSite,
  type MatrixParameter,
} from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { linear } from '@peft/ops';

/** Options of Lily. */
export interface LilyConfig {
  /** r. Default 32. */
  readonly rank: number;
  /** Neighbouring layers that share A. Default 1. */
  readonly strideA: number;
  /** E: up projections that are shared, at least 2. Default 2. */
  readonly experts: number;
  /** s. Default 1. */
  readonly scaling: number;
  /** Start B at zero. `false`: random, for tests. Default true. */
  readonly initWeights: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    lily: LilyConfig;
  }
}

/**
 * The Lily method: `lily({ rank: 32, experts: 2 })`. It cannot be merged.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const lily = definePeftMethod({
  name: 'lily',
  peftType: 'LILY',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) + s·x·Aᵀ·Σₑ pₑ·Bₑ, p from a router',
  paper: {
    title: 'Low-Rank Interconnected Adaptation Across Layers',
    url: 'https://arxiv.org/abs/2407.09946',
  },
  ...optionTable<LilyConfig>('lily', {
    rank: { default: 32, is: 'positiveInteger', peft: 'r' },
    strideA: { default: 1, is: 'positiveInteger', peft: 'stride_A' },
    experts: { default: 2, is: atLeastTwo, peft: 'num_B' },
    scaling: { default: 1, is: 'finite', peft: 'scaling' },
    initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
  }),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      const { rank: r, experts } = config;
      const group = context.shared(`lily ${groupOf(site, context)}`, newGroup);
      const shareA = group.layers % config.strideA !== 0;
      group.layers += 1;
      const shared = (
        name: 'a' | 'b',
        isOld: boolean,
        shape: readonly [number, number],
        init: Initializer,
      ) => {
        const key = `lily_${name.toUpperCase()}.weight`;
        if (isOld) context.repeat(key, group[name]!);
        else group[name] = context.param(key, shape, init);
        return group[name]!;
      };
      const a = shared('a', shareA, [r, site.inFeatures], kaimingUniform);
      const start = config.initWeights ? zeros : kaimingUniform;
      const b = shared('b', group.b !== undefined, [experts * r, site.outFeatures], start);
      const router = context.param('lily_router.weight', [experts, r], kaimingUniform);
      let scaling = config.scaling;
      return {
        forward(x, base) {
          const narrow = linear(x, a.value); // [N, r]
          const weights = tf.mean(tf.softmax(linear(narrow, router.value)), 0); // [E]
          const up = tf.sum(
            tf.mul(
              tf.reshape(b.value, [experts, r, site.outFeatures]),
              tf.reshape(weights, [experts, 1, 1]),
            ),
            0,
          ) as Tensor2D;
          return tf.add(base(x), tf.mul(tf.matMul(narrow, up), scaling));
        },
        rescale: (factor) => void (scaling *= factor),
        readsWholeBatch: true,
      };
    },
  },
});

interface Group {
  layers: number;
  a?: MatrixParameter;
  b?: MatrixParameter;
}
const newGroup = (): Group => ({ layers: 0 });

/** Layers share what is their own by the target that took them (else their name) and shape. */
function groupOf(
  { path, inFeatures, outFeatures }: LinearSite,
  { targets }: AttachContext,
): string {
  const names = Array.isArray(targets) ? (targets as readonly string[]) : [];
  const pattern = typeof targets === 'string' && targets !== 'all-linear' ? targets : undefined;
  const name =
    pattern ?? names.findLast((each) => path.endsWith(each)) ?? path.slice(path.lastIndexOf('.'));
  return `${name} ${outFeatures} ${inFeatures}`;
}

function atLeastTwo(owner: string, field: string, value: unknown): void {
  check.positiveInteger(owner, field, value);
  if (value < 2)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be at least 2, got ${value}.`,
      { hint: 'with one there is nothing for the router to choose' },
    );
}
