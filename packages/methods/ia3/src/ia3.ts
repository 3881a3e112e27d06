/**
 * IA3: a learned factor per feature.
 *
 *   output of a layer       y = (x·Wᵀ + b) ⊙ l    l `[out, 1]`
 *   input (feed-forward)    y = (x ⊙ l)·Wᵀ + b    l `[1, in]`
 *
 * with l = 1 at the start. Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and
 * Cheaper than In-Context Learning", eq. 2 (the paper scales keys, values and the hidden
 * feed-forward features).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  fullMatch,
  normal,
  ones,
  type LinearAttachment,
  type ModelDescription,
  type Site,
  type TargetSelection,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import { scaleColumns } from '@peft/ops';
import type { Ia3Config } from './ia3-config.js';
import { ia3Hub } from './ia3-hub.js';
import { IA3_DEFAULT_ROLES, IA3_DEFAULT_TARGETS } from './ia3-targets.js';

/**
 * The IA3 method. `ia3()` takes PEFT's default targets of the model's family; `ia3({ targets:
 * ['query', 'value'], feedforwardModules: [] })` scales what AutoGluon scales.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const ia3 = definePeftMethod({
  name: 'ia3',
  formula: 'y = l ⊙ base(x), or base(l ⊙ x) in feed-forward layers',
  peftType: 'IA3',
  paper: {
    title:
      'Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning',
    url: 'https://arxiv.org/abs/2205.05638',
  },

  parseConfig(input): Ia3Config {
    check.knownKeys('ia3', input, ['feedforwardModules', 'initWeights']);
    const { feedforwardModules, initWeights = true } = input;
    check.boolean('ia3', 'initWeights', initWeights);
    if (
      feedforwardModules !== undefined &&
      typeof feedforwardModules !== 'string' &&
      !(
        Array.isArray(feedforwardModules) &&
        feedforwardModules.every((name) => typeof name === 'string')
      )
    ) {
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `ia3: feedforwardModules must be a list of names or a regular expression, got ${show(feedforwardModules)}.`,
      );
    }
    return { initWeights, feedforwardModules };
  },

  defaultTargets: (description): TargetSelection => ({
    targets: IA3_DEFAULT_TARGETS[description.modelType]?.targets ?? IA3_DEFAULT_ROLES,
  }),

  attach: {
    linear(site, config, context): LinearAttachment {
      const init = config.initWeights ? ones : normal(1);
      if (isFeedforward(site, config, context.description)) {
        const vector = context.param('ia3_l', [1, site.inFeatures], init);
        return {
          forward: (x, base) => base(scaleColumns(x, flat(vector.value))),
          merge: ({ weight, bias }) => ({
            weight: tf.mul(weight, vector.value),
            bias,
          }),
        };
      }
      const vector = context.param('ia3_l', [site.outFeatures, 1], init);
      return {
        forward: (x, base) => scaleColumns(base(x), flat(vector.value)),
        merge: ({ weight, bias }) => ({
          weight: tf.mul(weight, vector.value),
          bias: bias && tf.mul(bias, flat(vector.value)),
        }),
      };
    },
  },

  toPeftConfig(config, { description, sites }) {
    const feedforward =
      config.feedforwardModules ??
      IA3_DEFAULT_TARGETS[description.modelType]?.feedforward ??
      sites.filter((site) => isFeedforward(site, config, description)).map(({ path }) => path);
    return {
      fan_in_fan_out: sites.some((site) => site.kind === 'linear' && site.transposed),
      feedforward_modules: feedforward,
      init_ia3_weights: config.initWeights,
    };
  },

  fromPeftConfig(json) {
    const { feedforward_modules: feedforward, init_ia3_weights: initWeights } = json;
    return {
      feedforwardModules: (feedforward ?? undefined) as readonly string[] | undefined,
      initWeights: initWeights as boolean | undefined,
    };
  },

  adapterHub: ia3Hub,
});

function isFeedforward(
  site: Site,
  { feedforwardModules }: Ia3Config,
  description: ModelDescription,
): boolean {
  const modules = feedforwardModules ?? IA3_DEFAULT_TARGETS[description.modelType]?.feedforward;
  if (modules === undefined) return site.role === IA3_DEFAULT_ROLES.feedforward;
  return typeof modules === 'string'
    ? fullMatch(modules).test(site.path)
    : modules.some((name) => site.path.endsWith(name));
}

const flat = (vector: Tensor2D): Tensor1D => tf.reshape(vector, [-1]);
