/**
 * Prefix tuning (Li and Liang 2021) as PEFT has it: P learned keys and values per block that stand
 * for P tokens in front of each sequence, so that positions, masks and windows count them. With a
 * projection a network makes them from P embeddings:
 *
 *   [k_1, v_1, …, k_L, v_L]_p = W₂·tanh(W₁·e_p + b₁) + b₂
 *
 * An encoder-decoder has them in the decoder's self-attention alone, and block i reads pair 2i mod
 * L: the original makes one set of L pairs for two stacks, and the cross attention's are dropped.
 * Files hold the keys and values and not the network.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  zeros,
  type AttachContext,
  type TargetSelection,
} from '@peft/core';
import { check } from '@peft/errors';
import { activate, linear } from '@peft/ops';
import { sharedLinear } from './linear-layer.js';
import { attentionSites, keyWidth, pairOf, refuse, selfAttentions } from './prefix-sites.js';
import { peftModelWords } from './virtual-tokens.js';

/** Options of prefix tuning. */
export interface PrefixTuningConfig {
  /** P. Default 20. */
  readonly virtualTokens: number;
  /** Make keys and values by a network. Default false. */
  readonly prefixProjection: boolean;
  /** Width of the network. Default: that of the keys. */
  readonly encoderHiddenSize?: number;
  /** `zero`: keys and values start at 0. Default N(0, 1). */
  readonly initWeights?: 'zero';
  /** Keys and values come from a file, without the network. Default false. */
  readonly isLoaded: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    'prefix-tuning': PrefixTuningConfig;
  }
}

const OWNER = 'prefix-tuning';
const TABLE = 'prompt_embeddings';

interface PrefixNetwork {
  /** Keys and values `[P, 2·W]` of a pair. */
  pair(index: number): Tensor2D;
  /** All pairs `[P, L·2·W]`. */
  all(): Tensor2D;
}

/**
 * The prefix tuning method: `prefixTuning({ virtualTokens: 20 })`. See `attentionPrefix` for the
 * prefix of the paper and of MAM, which has no positions.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; PEFT_METHOD_UNSUPPORTED on DeBERTa, and on
 *   an encoder-decoder of unequal stacks
 */
export const prefixTuning = definePeftMethod({
  name: OWNER,
  formula: 'softmax(q·[P_k; K]ᵀ)·[P_v; V], in front of the sequence',
  peftType: 'PREFIX_TUNING',
  peftLayout: 'prompt',
  peftCommonKeys: ['modules_to_save'],
  paper: {
    title: 'Prefix-Tuning: Optimizing Continuous Prompts for Generation',
    url: 'https://arxiv.org/abs/2101.00190',
  },

  parseConfig(input): PrefixTuningConfig {
    check.knownKeys(OWNER, input, [
      'virtualTokens',
      'prefixProjection',
      'encoderHiddenSize',
      'initWeights',
      'isLoaded',
    ]);
    const {
      virtualTokens = 20,
      prefixProjection = false,
      encoderHiddenSize,
      initWeights,
      isLoaded = false,
    } = input;
    check.positiveInteger(OWNER, 'virtualTokens', virtualTokens);
    check.boolean(OWNER, 'prefixProjection', prefixProjection);
    check.boolean(OWNER, 'isLoaded', isLoaded);
    if (encoderHiddenSize !== undefined)
      check.positiveInteger(OWNER, 'encoderHiddenSize', encoderHiddenSize);
    if (initWeights !== undefined) check.oneOf(OWNER, 'initWeights', initWeights, ['zero']);
    return Object.freeze({
      virtualTokens,
      prefixProjection,
      isLoaded,
      encoderHiddenSize,
      initWeights,
    });
  },

  defaultTargets: (description): TargetSelection => ({
    targets: selfAttentions(description).map(({ path }) => path),
  }),

  attach: {
    attention(site, config, context) {
      refuse(OWNER, site, context.description);
      const width = keyWidth(site);
      const sites = attentionSites(context.sites);
      const network = context.shared<PrefixNetwork>(OWNER, () =>
        makeNetwork(width, sites.length, config, context),
      );
      const pair = pairOf(site, context);
      return {
        pastLength: config.virtualTokens,
        extend() {
          const [keys, values] = tf.split(network.pair(pair), 2, 1) as [Tensor2D, Tensor2D];
          return { keys, values };
        },
      };
    },
  },

  fileTensors: (_config, { shared }) =>
    new Map([[TABLE, tf.tidy(() => tf.clone((shared.get(OWNER) as PrefixNetwork).all()))]]),

  toPeftConfig(config, context) {
    const [site] = attentionSites(context.sites);
    const width = keyWidth(site!);
    return {
      ...peftModelWords(context, config, width, site!.keyValueHeads),
      encoder_hidden_size: config.encoderHiddenSize ?? width,
      init_weights: config.initWeights ?? null,
      prefix_projection: config.prefixProjection,
    };
  },

  fromPeftConfig: (json) => ({
    virtualTokens: json['num_virtual_tokens'] as number,
    isLoaded: true,
    prefixProjection:
      typeof json['prefix_projection'] === 'boolean' ? json['prefix_projection'] : undefined,
    encoderHiddenSize:
      typeof json['encoder_hidden_size'] === 'number' ? json['encoder_hidden_size'] : undefined,
    initWeights: json['init_weights'] === 'zero' ? ('zero' as const) : undefined,
  }),
});

/** @param width W. @param pairs L. */
function makeNetwork(
  width: number,
  pairs: number,
  {
    virtualTokens,
    prefixProjection,
    encoderHiddenSize = width,
    initWeights,
    isLoaded,
  }: PrefixTuningConfig,
  context: AttachContext,
): PrefixNetwork {
  const total = 2 * width * pairs;
  if (!prefixProjection || isLoaded) {
    const table = context.sharedParam(
      TABLE,
      [virtualTokens, total],
      initWeights === 'zero' || isLoaded ? zeros : normal(1),
    );
    return {
      all: () => table.value,
      pair: (index) => tf.slice(table.value, [0, 2 * width * index], [virtualTokens, 2 * width]),
    };
  }
  const embedding = context.sharedParam(
    'prompt_encoder.embedding.weight',
    [virtualTokens, width],
    normal(1),
  );
  const first = sharedLinear('prompt_encoder.transform.0', [encoderHiddenSize, width], context);
  const second = sharedLinear(
    'prompt_encoder.transform.2',
    [total, encoderHiddenSize],
    context,
    initWeights === 'zero' ? 'zero' : 'torch',
  );
  const inner = () => activate('tanh', first(embedding.value));
  return {
    all: () => second(inner()),
    pair: (index) => linearPart(inner(), second, 2 * width * index, 2 * width),
  };
}

/** `count` of the outputs of a layer, from `start` on. */
export const linearPart = (
  x: Tensor2D,
  { weight, bias }: ReturnType<typeof sharedLinear>,
  start: number,
  count: number,
): Tensor2D =>
  linear(x, tf.slice(weight.value, [start, 0], [count, -1]), tf.slice(bias.value, start, count));
