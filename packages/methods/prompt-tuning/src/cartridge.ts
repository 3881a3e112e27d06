/**
 * Cartridges: a prefix of keys and values in front of each sequence, as in prefix tuning without a
 * network, whose first rows stay as they are. Eyuboglu et al. 2025, "Cartridges: Lightweight and
 * general-purpose long context representations via self-study": meant to start from the keys and
 * values of a text, the first tokens of which hold attention in place.
 *
 *   [k_1, v_1, …, k_L, v_L]_p = z_p,  p = 1 … F frozen, F + 1 … P learned         z `[P, L·2·W]`
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  optionTable,
  zeros,
  type AttachContext,
  type MatrixParameter,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { differentiable, readValues } from '@peft/ops';
import { attentionSites, keyWidth, pairOf, refuse, selfAttentions } from './prefix-sites.js';
import { peftModelWords } from './virtual-tokens.js';

/** Options of cartridges. */
export interface CartridgeConfig {
  /** P. Default 20. */
  readonly virtualTokens: number;
  /** F: the first rows, which do not train. Default 1. */
  readonly frozenTokens: number;
  /** The rows come from a file. Default false. */
  readonly isLoaded: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    cartridge: CartridgeConfig;
  }
}

const OWNER = 'cartridge';
const TABLE = 'prompt_embeddings';
const table = optionTable<CartridgeConfig>(
  OWNER,
  {
    virtualTokens: { default: 20, is: 'positiveInteger', peft: 'num_virtual_tokens' },
    frozenTokens: { default: 1, is: 'nonNegativeInteger', peft: 'num_frozen_tokens' },
    isLoaded: { default: false, is: 'boolean' },
  },
  {
    refuse({ virtualTokens, frozenTokens }) {
      if (frozenTokens >= virtualTokens)
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `${OWNER}: frozenTokens must be fewer than virtualTokens, got ${frozenTokens} of ${virtualTokens}.`,
        );
    },
  },
);

/**
 * The Cartridges method: `cartridge({ virtualTokens: 20 })`. It cannot be merged.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; PEFT_METHOD_UNSUPPORTED where prefix tuning
 *   is
 */
export const cartridge = definePeftMethod({
  name: OWNER,
  peftType: 'CARTRIDGE',
  peftLayout: 'prompt',
  peftCommonKeys: ['modules_to_save'],
  formula: 'keys and values [K; z_k], [V; z_v], the first rows of z frozen',
  paper: {
    title:
      'Cartridges: Lightweight and general-purpose long context representations via self-study',
    url: 'https://arxiv.org/abs/2506.06266',
  },
  ...table,
  fromPeftConfig: (json) => ({ ...table.fromPeftConfig(json), isLoaded: true }),
  toPeftConfig(config, context) {
    const [site] = attentionSites(context.sites);
    return {
      ...peftModelWords(context, config, keyWidth(site!), site!.keyValueHeads),
      num_frozen_tokens: config.frozenTokens,
    };
  },
  defaultTargets: (description) => ({
    targets: selfAttentions(description).map(({ path }) => path),
  }),

  attach: {
    attention(site, config, context) {
      refuse(OWNER, site, context.description);
      const width = keyWidth(site);
      const rows = context.shared(OWNER, () => makeRows(width, config, context));
      const start = 2 * width * pairOf(site, context);
      return {
        pastLength: config.virtualTokens,
        extend() {
          const own = tf.slice(rows(), [0, start], [config.virtualTokens, 2 * width]);
          const [keys, values] = tf.split(own, 2, 1) as [Tensor2D, Tensor2D];
          return { keys, values };
        },
      };
    },
  },

  fileTensors: (_config, { shared }) =>
    new Map([[TABLE, tf.tidy(() => tf.clone((shared.get(OWNER) as () => Tensor2D)()))]]),
});

/** z, its frozen part off the tape. */
function makeRows(
  width: number,
  { virtualTokens, frozenTokens, isLoaded }: CartridgeConfig,
  context: AttachContext,
): () => Tensor2D {
  const total = 2 * width * attentionSites(context.sites).length;
  if (isLoaded) {
    const all = context.sharedParam(TABLE, [virtualTokens, total], zeros);
    return frozenTokens > 0 ? withFrozenRows(all, frozenTokens, context) : () => valueOf(all);
  }
  const frozen =
    frozenTokens > 0
      ? context.sharedParam('prompt_encoder.frozen_embedding', [frozenTokens, total], normal(1), {
          trainable: false,
        })
      : undefined;
  const learned = context.sharedParam(
    'prompt_encoder.trainable_embedding',
    [virtualTokens - frozenTokens, total],
    normal(1),
  );
  return () => (frozen ? tf.concat([valueOf(frozen), valueOf(learned)], 0) : valueOf(learned));
}

const valueOf = ({ value }: MatrixParameter): Tensor2D => value;

/** A table whose first rows get no gradient, and are put back after each step. */
function withFrozenRows(
  table: MatrixParameter,
  count: number,
  context: AttachContext,
): () => Tensor2D {
  const first = (): Tensor2D => tf.slice(valueOf(table), [0, 0], [count, -1]);
  let kept: Promise<Float32Array> | undefined;
  context.onStep(async () => {
    if (!kept) return;
    const rows = await kept;
    tf.tidy(() => {
      const own = tf.tensor2d(rows, [count, table.shape[1]!]);
      table.value.assign(tf.concat([own, tf.slice(valueOf(table), [count, 0])], 0));
    });
  });
  return () => {
    const frozen = differentiable<never, Tensor2D>({}, first, () => ({}));
    kept ??= readValues(frozen).then((values) => values.slice()); // once
    return tf.concat([frozen, tf.slice(valueOf(table), [count, 0])], 0);
  };
}
