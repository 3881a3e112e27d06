/**
 * CPT: the embeddings of an example prompt are moved a little each, no further than a small ball round
 * where they stood. Blau et al. 2024, "Context-Aware Prompt Tuning: Advancing In-Context Learning with
 * Adversarial Methods":
 *
 *   x' = [e_1 + δ_1 … e_P + δ_P, x_1 … x_T],  ‖δ_p‖ ≤ ε_p·√(D/2048)           e, δ `[P, D]`
 *
 * Each token of the prompt has a type: modulo 4, 1 and 3 are templates, 2 is the example's input, 0 its
 * answer. Answers do not move; ε differs between templates and inputs. δ is shortened in each pass, off
 * the tape. The loss is the task's own: PEFT adds that of the prompt's answers, and its decay.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Variable } from '@tensorflow/tfjs';
import { definePeftMethod, optionTable, zeros, type SequenceSite } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import { differentiable } from '@peft/ops';
import { peftModelWords, tokenTargets } from './virtual-tokens.js';

/** Options of CPT. */
export interface CptConfig {
  /** Token ids of the prompt. */
  readonly tokenIds: readonly number[];
  /** 1 for each token that counts. Default: all; kept for files. */
  readonly mask: readonly number[] | undefined;
  /** The type of each token, see above. Default: all 1. */
  readonly types: readonly number[] | undefined;
  /** ε of inputs. Default 0.1. */
  readonly epsilon: number;
  /** ε of templates. Default 0.1. */
  readonly formatEpsilon: number;
  /** PEFT's weights of the answers' loss, kept for files. Default `none`. */
  readonly lossType: 'none' | 'decay';
  /** Kept for files. Default 1. */
  readonly decayFactor: number;
  /** Name or path of the tokenizer, kept for files. */
  readonly tokenizer: string | undefined;
  /** The rows come from a file. Default false. */
  readonly isLoaded: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    cpt: CptConfig;
  }
}

const OWNER = 'cpt';
const TABLE = 'prompt_embeddings';
const table = optionTable<CptConfig>(
  OWNER,
  {
    tokenIds: { default: [0], is: wholeNumbers, peft: 'cpt_token_ids' },
    mask: { default: undefined, is: wholeNumbers, peft: 'cpt_mask' },
    types: { default: undefined, is: wholeNumbers, peft: 'cpt_tokens_type_mask' },
    epsilon: { default: 0.1, is: 'positive', peft: 'opt_projection_epsilon' },
    formatEpsilon: { default: 0.1, is: 'positive', peft: 'opt_projection_format_epsilon' },
    lossType: { default: 'none', is: ['none', 'decay'], peft: 'opt_weighted_loss_type' },
    decayFactor: { default: 1, is: 'finite', peft: 'opt_loss_decay_factor' },
    tokenizer: { default: undefined, is: 'string', peft: 'tokenizer_name_or_path' },
    isLoaded: { default: false, is: 'boolean' },
  },
  {
    refuse({ tokenIds, mask, types }) {
      for (const list of [mask, types])
        if (list && list.length !== tokenIds.length)
          throw new PeftError(
            'PEFT_CONFIG_INVALID',
            `${OWNER}: mask and types must have one number for each of the ${tokenIds.length} tokens, got ${list.length}.`,
          );
    },
  },
);

/**
 * The CPT method: `cpt({ tokenIds: tokenizer.encode(examples).ids, types })`, on decoders. It cannot
 * be merged.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const cpt = definePeftMethod({
  name: OWNER,
  peftType: 'CPT',
  peftLayout: 'prompt',
  peftCommonKeys: ['modules_to_save'],
  formula: "x' = [e_1 + δ_1 … e_P + δ_P, x], ‖δ_p‖ ≤ ε_p",
  paper: {
    title: 'Context-Aware Prompt Tuning: Advancing In-Context Learning with Adversarial Methods',
    url: 'https://arxiv.org/abs/2410.17222',
  },
  ...table,
  fromPeftConfig: (json) => ({ ...table.fromPeftConfig(json), isLoaded: true }),
  toPeftConfig(config, context) {
    const [site] = context.sites as readonly SequenceSite[];
    const virtualTokens = config.tokenIds.length;
    const ones = config.tokenIds.map(() => 1);
    return {
      ...peftModelWords(context, { virtualTokens, stacks: 1 }, site!.size),
      ...table.toPeftConfig(
        { ...config, mask: config.mask ?? ones, types: config.types ?? ones },
        context,
      ),
    };
  },
  defaultTargets: (description) =>
    description.layers.encoder > 0 ? { targets: [] } : tokenTargets(description),

  attach: {
    sequence(site, config, context) {
      const tokens = config.tokenIds.length;
      const shape = [tokens, site.size] as const;
      if (config.isLoaded) {
        const rows = context.sharedParam(TABLE, shape, zeros);
        return { tokens, prefix: () => rows.value };
      }
      const start = context.sharedParam(
        'prompt_encoder.embedding.weight',
        shape,
        () => {
          const rows = site.baseRows(Int32Array.from(config.tokenIds));
          const values = Float32Array.from(rows.dataSync()); // once, while attaching
          rows.dispose();
          return values;
        },
        { trainable: false },
      );
      const delta = context.sharedParam('prompt_encoder.delta_embedding.weight', shape, zeros);
      const limits = limitsOf(config, site.size);
      const rows = context.shared(OWNER, () => (): Tensor2D => {
        shorten(delta.value, limits);
        return tf.add(start.value, moving(delta.value, limits));
      });
      return { tokens, prefix: rows };
    },
  },

  fileTensors: (_config, { shared, parameters }) =>
    new Map([
      [
        TABLE,
        tf.tidy(() => {
          const rows = shared.get(OWNER) as (() => Tensor2D) | undefined;
          return rows ? tf.clone(rows()) : tf.clone(parameters.get(TABLE)!.value);
        }),
      ],
    ]),
});

/** How far each token may move. */
function limitsOf({ tokenIds, types, epsilon, formatEpsilon }: CptConfig, width: number): number[] {
  const scale = Math.sqrt(width / 2048);
  return tokenIds.map((_, p) => {
    const type = types?.[p] ?? 1;
    if (type <= 0 || type % 4 === 0) return 0;
    return scale * (type % 4 === 2 ? epsilon : formatEpsilon);
  });
}

/** In place, off the tape. */
function shorten(delta: Variable, limits: readonly number[]): void {
  const shortened = differentiable<never, Tensor2D>(
    {},
    () =>
      tf.tidy(() => {
        const most = tf.tensor2d([...limits], [limits.length, 1]);
        const length = tf.norm(delta, 2, 1, true);
        const isLonger = tf.greater(length, tf.mul(most, 1 + 1e-6)); // rounding of the last time
        return tf.mul(delta, tf.where(isLonger, tf.div(most, length), tf.onesLike(length)));
      }),
    () => ({}),
  );
  delta.assign(shortened);
  shortened.dispose();
}

/** δ, without gradient where a token does not move. */
function moving(delta: Tensor2D, limits: readonly number[]): Tensor2D {
  return differentiable<'delta', Tensor2D>(
    { delta },
    () => tf.clone(delta),
    ({ dy }) => ({
      delta: tf.mul(
        dy,
        tf.tensor2d(
          limits.map((limit) => Number(limit > 0)),
          [limits.length, 1],
        ),
      ),
    }),
  );
}

function wholeNumbers(owner: string, field: string, value: unknown): void {
  if (
    !Array.isArray(value) ||
    value.length === 0 ||
    !value.every((each) => Number.isInteger(each) && each >= 0)
  )
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be a list of at least one whole number, got ${show(value)}.`,
    );
}
