/**
 * The prefix of the paper (Li and Liang 2021) as adapter-hub has it: P learned keys and values per
 * attention that stand beside each sequence, without positions, for every query to see. A network
 * makes those of all attentions of a stack from P embeddings,
 *
 *   [k_1, v_1, …, k_L, v_L]_p = W₂·f(W₁·e_p + b₁) + b₂
 *
 * or they are learned as they are (`flat`). With gates (UniPELT) they are multiplied by g_b, a gate
 * per sequence of what the attention reads. Encoder, decoder and cross attention have a network
 * each.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import {
  adapterHubFormat,
  definePeftMethod,
  hubPrefixName,
  normal,
  uniform,
  type AttachContext,
  type AttentionSite,
  type ModelDescription,
  type Site,
  type SiteHandle,
  type TargetSelection,
  type MatrixParameter,
  type VectorParameter,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import { activate, activationNamed, sequenceGate } from '@peft/ops';
import { sharedLinear } from './linear-layer.js';
import { linearPart } from './prefix-tuning.js';

/** Options of adapter-hub's prefix tuning. */
export interface AttentionPrefixConfig {
  /** P. Default 30. */
  readonly prefixLength: number;
  /** Width of the network. Default 512. */
  readonly bottleneckSize: number;
  /** Its activation. Default `tanh`. */
  readonly nonLinearity: string;
  /** Learn keys and values as they are. Default false. */
  readonly flat: boolean;
  /** Share of the keys and values that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** In the encoder of an encoder-decoder. Default true. */
  readonly encoderPrefix: boolean;
  /** In cross attention. Default true. */
  readonly crossPrefix: boolean;
  /**
   * Numbers of blocks to leave out; those of a decoder count on from the encoder's. Default none.
   */
  readonly leaveOut: readonly number[];
  /** A gate per sequence (UniPELT). Default false. */
  readonly useGating: boolean;
  /** One gate for keys and values. Default true. */
  readonly sharedGating: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    'attention-prefix': AttentionPrefixConfig;
  }
}

const OWNER = 'attention-prefix';
const DEFAULTS: AttentionPrefixConfig = Object.freeze({
  prefixLength: 30,
  bottleneckSize: 512,
  nonLinearity: 'tanh',
  flat: false,
  dropout: 0,
  encoderPrefix: true,
  crossPrefix: true,
  leaveOut: Object.freeze([]),
  useGating: false,
  sharedGating: true,
});
const HUB_KEYS = {
  prefixLength: 'prefix_length',
  bottleneckSize: 'bottleneck_size',
  nonLinearity: 'non_linearity',
  flat: 'flat',
  dropout: 'dropout',
  encoderPrefix: 'encoder_prefix',
  crossPrefix: 'cross_prefix',
  leaveOut: 'leave_out',
  useGating: 'use_gating',
  sharedGating: 'shared_gating',
} as const;

/** Keys and values `[P, 2·W]` of one attention. */
type PairOf = (index: number) => Tensor2D;

/**
 * The prefix beside the sequences: `attentionPrefix({ prefixLength: 30, bottleneckSize: 512 })`. It
 * works wherever there is attention, DeBERTa included.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY, PEFT_ACTIVATION_UNKNOWN
 */
export const attentionPrefix = definePeftMethod({
  name: OWNER,
  formula: 'softmax(q·[P_k; K]ᵀ)·[P_v; V], beside the sequence',
  paper: {
    title: 'Prefix-Tuning: Optimizing Continuous Prompts for Generation',
    url: 'https://arxiv.org/abs/2101.00190',
  },

  parseConfig(input): AttentionPrefixConfig {
    check.knownKeys(OWNER, input, Object.keys(DEFAULTS));
    const config = { ...DEFAULTS, ...input };
    check.positiveInteger(OWNER, 'prefixLength', config.prefixLength);
    check.positiveInteger(OWNER, 'bottleneckSize', config.bottleneckSize);
    check.probability(OWNER, 'dropout', config.dropout);
    activationNamed(config.nonLinearity);
    for (const flag of [
      'flat',
      'encoderPrefix',
      'crossPrefix',
      'useGating',
      'sharedGating',
    ] as const)
      check.boolean(OWNER, flag, config[flag]);
    if (
      !Array.isArray(config.leaveOut) ||
      !config.leaveOut.every((layer) => Number.isInteger(layer) && layer >= 0)
    )
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `${OWNER}: leaveOut must be a list of block numbers, got ${show(config.leaveOut)}.`,
      );
    return Object.freeze(config);
  },

  defaultTargets: (description, config): TargetSelection => ({
    targets: attentionsOf(description.sites)
      .filter((site) => isWanted(site, config, description))
      .map(({ path }) => path),
  }),

  attach: {
    attention(site, config, context) {
      const name = hubPrefixName(site.stack, context.description);
      const sites = attentionsOf(context.sites).filter(
        ({ stack }) => hubPrefixName(stack, context.description) === name,
      );
      const pairOf = context.shared<PairOf>(`${OWNER} ${name}`, () =>
        makeNetwork(`prefix_tunings.${name}`, site, sites.length, config, context),
      );
      const index = sites.findIndex(({ path }) => path === site.path);
      const gate = config.useGating ? makeGate(config, context) : undefined;
      return {
        extend(call) {
          const dropped = call.dropout(pairOf(index), config.dropout);
          const [keys, values] = tf.split(dropped, 2, 1) as [Tensor2D, Tensor2D];
          if (!gate) return { keys, values };
          const gates = sequenceGate(call.hidden, gate.weight.value, gate.bias.value, call.offsets); // [B, 1 or 2]
          const [keyGate, valueGate] = config.sharedGating
            ? [gates, gates]
            : (tf.split(gates, 2, 1) as [Tensor2D, Tensor2D]);
          return {
            keys: gated(keys, keyGate),
            values: gated(values, valueGate),
            perSequence: true,
          };
        },
      };
    },
  },

  format: adapterHubFormat,
  adapterHub: {
    toConfig: (config) => ({
      architecture: 'prefix_tuning',
      ...Object.fromEntries(
        Object.entries(HUB_KEYS).map(([own, hub]) => [
          hub,
          config[own as keyof AttentionPrefixConfig],
        ]),
      ),
      init_weights_seed: null,
    }),
    fromConfig(json) {
      if (json === 'prefix_tuning') return {};
      if (json === 'prefix_tuning_flat') return { flat: true };
      if (typeof json === 'string') return undefined;
      if (json['architecture'] !== 'prefix_tuning') return undefined;
      return Object.fromEntries(
        Object.entries(HUB_KEYS).flatMap(([own, hub]) =>
          json[hub] === undefined ? [] : [[own, json[hub]]],
        ),
      );
    },
    key: (name) => name.replace('.', '.*.'),
  },
});

const attentionsOf = (sites: readonly Site[]): AttentionSite[] =>
  sites.filter((site) => site.kind === 'attention');

function isWanted(
  { stack, layer = 0 }: AttentionSite,
  { encoderPrefix, crossPrefix, leaveOut }: AttentionPrefixConfig,
  { layers }: ModelDescription,
): boolean {
  const isEncoderOfTwo = stack === 'encoder' && layers.decoder > 0;
  if ((isEncoderOfTwo && !encoderPrefix) || (stack === 'cross' && !crossPrefix)) return false;
  return !leaveOut.includes(layer + (stack === 'encoder' ? 0 : layers.encoder));
}

function makeNetwork(
  name: string,
  { keyValueHeads, headSize }: SiteHandle<'attention'>,
  pairs: number,
  { prefixLength, bottleneckSize, nonLinearity, flat }: AttentionPrefixConfig,
  context: AttachContext,
): PairOf {
  const width = keyValueHeads * headSize;
  const total = 2 * width * pairs;
  if (flat) {
    const table = context.sharedParam(`${name}.control_trans`, [prefixLength * total], normal(1));
    return (index) =>
      tf.slice(
        tf.reshape(table.value as Tensor, [prefixLength, total]),
        [0, 2 * width * index],
        [prefixLength, 2 * width],
      ) as Tensor2D;
  }
  const { hiddenSize } = context.description;
  const embedding = context.sharedParam(
    `${name}.wte.weight`,
    [prefixLength, hiddenSize],
    normal(1),
  );
  const first = sharedLinear(`${name}.control_trans.0`, [bottleneckSize, hiddenSize], context);
  const second = sharedLinear(`${name}.control_trans.2`, [total, bottleneckSize], context);
  const activation = activationNamed(nonLinearity);
  return (index) =>
    linearPart(activate(activation, first(embedding.value)), second, 2 * width * index, 2 * width);
}

function makeGate(
  { sharedGating }: AttentionPrefixConfig,
  context: AttachContext,
): { readonly weight: MatrixParameter; readonly bias: VectorParameter } {
  const { hiddenSize } = context.description;
  const bound = 1 / Math.sqrt(hiddenSize);
  const outputs = sharedGating ? 1 : 2;
  return {
    weight: context.param('prefix_gates.weight', [outputs, hiddenSize], normal(0.02)),
    bias: context.param('prefix_gates.bias', [outputs], uniform(-bound, bound)),
  };
}

/** g_b·x_p for each sequence in turn: x `[P, W]`, g `[B, 1]` → `[B·P, W]`. */
function gated(x: Tensor2D, gate: Tensor2D): Tensor2D {
  const [rows, width] = x.shape;
  return tf.reshape(tf.mul(tf.reshape(x, [1, rows, width]), tf.reshape(gate, [-1, 1, 1])), [
    -1,
    width,
  ]);
}
