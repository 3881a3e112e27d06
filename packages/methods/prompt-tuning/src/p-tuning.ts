/**
 * P-tuning (Liu et al. 2021): the virtual tokens of prompt tuning, made by a network from P
 * embeddings. PEFT calls it P_TUNING.
 *
 *   MLP   e' = W₃·relu(W₂·relu(W₁·e + b₁) + b₂) + b₃
 *   LSTM  e' = W₂·relu(W₁·[→h, ←h] + b₁) + b₂, h of a bidirectional LSTM over the embeddings in order
 *
 * Files hold what the network makes and not the network; a loaded adapter trains that.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { definePeftMethod, normal, zeros, type AttachContext } from '@peft/core';
import { check } from '@peft/errors';
import { activate } from '@peft/ops';
import { sharedLinear } from './linear-layer.js';
import { bidirectionalLstm, type Dropout } from './lstm.js';
import { ownRows, peftModelWords, stacksIn, tokenTargets, totalTokens } from './virtual-tokens.js';

/** Options of P-tuning. */
export interface PTuningConfig {
  /** P. Default 20. */
  readonly virtualTokens: number;
  /** The network. Default `mlp`. */
  readonly encoder: 'mlp' | 'lstm';
  /** Its width. Default: the model's. */
  readonly encoderHiddenSize?: number;
  /** Layers of the LSTM; an MLP always has its three. Default 2. */
  readonly encoderLayers: number;
  /** Dropout between the layers of the LSTM, in [0, 1). Default 0. */
  readonly encoderDropout: number;
  /** The rows come from a file, without the network. Default false. */
  readonly isLoaded: boolean;
  /**
   * Stacks that the file's rows are for: 1, or 2 of an encoder-decoder. Default: what PEFT makes.
   */
  readonly stacks?: number;
}

declare module '@peft/core' {
  interface PeftConfigs {
    'p-tuning': PTuningConfig;
  }
}

const OWNER = 'p-tuning';
const TABLE = 'prompt_embeddings';

type PromptNetwork = (dropout: Dropout) => Tensor2D;

/**
 * The P-tuning method: `pTuning({ virtualTokens: 20, encoder: 'mlp', encoderHiddenSize: 128 })`.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const pTuning = definePeftMethod({
  name: OWNER,
  formula: "x' = [f(e_1 … e_P), x_1 … x_T], f a network",
  peftType: 'P_TUNING',
  peftLayout: 'prompt',
  peftCommonKeys: ['modules_to_save'],
  paper: { title: 'GPT Understands, Too', url: 'https://arxiv.org/abs/2103.10385' },

  parseConfig(input): PTuningConfig {
    check.knownKeys(OWNER, input, [
      'virtualTokens',
      'encoder',
      'encoderHiddenSize',
      'encoderLayers',
      'encoderDropout',
      'isLoaded',
      'stacks',
    ]);
    const {
      virtualTokens = 20,
      encoder = 'mlp',
      encoderHiddenSize,
      encoderLayers = 2,
      encoderDropout = 0,
      isLoaded = false,
      stacks,
    } = input;
    check.positiveInteger(OWNER, 'virtualTokens', virtualTokens);
    check.oneOf(OWNER, 'encoder', encoder, ['mlp', 'lstm']);
    if (encoderHiddenSize !== undefined)
      check.positiveInteger(OWNER, 'encoderHiddenSize', encoderHiddenSize);
    check.positiveInteger(OWNER, 'encoderLayers', encoderLayers);
    check.probability(OWNER, 'encoderDropout', encoderDropout);
    check.boolean(OWNER, 'isLoaded', isLoaded);
    if (stacks !== undefined) check.positiveInteger(OWNER, 'stacks', stacks);
    return Object.freeze({
      virtualTokens,
      encoder,
      encoderLayers,
      encoderDropout,
      isLoaded,
      stacks,
      encoderHiddenSize,
    });
  },

  defaultTargets: tokenTargets,

  attach: {
    sequence(site, config, context) {
      const network = context.shared<PromptNetwork>(OWNER, () =>
        makeNetwork(site.size, config, context),
      );
      return {
        tokens: config.virtualTokens,
        prefix: (call) =>
          ownRows(
            network((x, rate, purpose) => call.dropout(x, rate, purpose)),
            site,
            context,
            config.virtualTokens,
          ),
      };
    },
  },

  fileTensors: (_config, { shared }) =>
    new Map([[TABLE, tf.tidy(() => tf.clone((shared.get(OWNER) as PromptNetwork)((x) => x)))]]),

  toPeftConfig(config, context) {
    const { size } = context.sites.find(({ kind }) => kind === 'sequence') as { size: number };
    return {
      ...peftModelWords(context, config, size),
      encoder_dropout: config.encoderDropout,
      encoder_hidden_size: config.encoderHiddenSize ?? size,
      encoder_num_layers: config.encoderLayers,
      encoder_reparameterization_type: config.encoder.toUpperCase(),
    };
  },

  fromPeftConfig: (json) => ({
    virtualTokens: json['num_virtual_tokens'] as number,
    isLoaded: true,
    ...stacksIn(json),
    encoder:
      typeof json['encoder_reparameterization_type'] === 'string'
        ? (json['encoder_reparameterization_type'].toLowerCase() as 'mlp' | 'lstm')
        : undefined,
    encoderHiddenSize:
      typeof json['encoder_hidden_size'] === 'number' ? json['encoder_hidden_size'] : undefined,
    encoderLayers:
      typeof json['encoder_num_layers'] === 'number' ? json['encoder_num_layers'] : undefined,
    encoderDropout:
      typeof json['encoder_dropout'] === 'number' ? json['encoder_dropout'] : undefined,
  }),
});

/** @param width D. @returns the virtual tokens `[P·stacks, D]`. */
function makeNetwork(
  width: number,
  {
    virtualTokens,
    stacks,
    encoder,
    encoderHiddenSize: size = width,
    encoderLayers,
    encoderDropout,
    isLoaded,
  }: PTuningConfig,
  context: AttachContext,
): PromptNetwork {
  const shape = [totalTokens(context, { virtualTokens, stacks }), width] as const;
  if (isLoaded) {
    const table = context.sharedParam(TABLE, shape, zeros);
    return () => table.value;
  }
  const embedding = context.sharedParam('prompt_encoder.embedding.weight', shape, normal(1));
  const layer = (index: number, out: number, into: number) =>
    sharedLinear(`prompt_encoder.mlp_head.${index}`, [out, into], context);
  if (encoder === 'mlp') {
    const [first, second, third] = [
      layer(0, size, width),
      layer(2, size, size),
      layer(4, width, size),
    ];
    return () => third(activate('relu', second(activate('relu', first(embedding.value)))));
  }
  const lstm = bidirectionalLstm(
    'prompt_encoder.lstm_head',
    { width, size, layers: encoderLayers, dropout: encoderDropout },
    context,
  );
  const [first, second] = [layer(0, 2 * size, 2 * size), layer(2, width, 2 * size)];
  return (dropout) => second(activate('relu', first(lstm(embedding.value, dropout))));
}
