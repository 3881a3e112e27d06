/**
 * Arrow (Ostapenko et al. 2024, section 3.2): LoRA adapters that were trained apart, chosen token by
 * token without training a router. The prototype p_e of adapter e at a layer is the direction of
 * inputs that its update s·B_e·A_e answers most, the first right singular vector; for a token x
 *
 *   c = softmax over the k largest |p_e·x| / T, 0 elsewhere
 *   y = base(x) + Σ_e c_e·s_e·B_e·A_e·x
 *
 * GenKnowSub (Bohdi et al. 2025) takes what all tasks share off first: A_e − mean(A_g) and
 * B_e − mean(B_g) over adapters g of general knowledge. Both as PEFT 0.21 has them.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  zeros,
  type AttachContext,
  type LinearAttachment,
  type MatrixParameter,
  type SiteHandle,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import { add, differentiable, linear } from '@peft/ops';

/** Options of Arrow. */
export interface ArrowConfig {
  /** Names of the LoRA adapters to choose from. */
  readonly adapters: readonly string[];
  /** Names of LoRA adapters of general knowledge, which GenKnowSub takes off. Default: none. */
  readonly general: readonly string[];
  /** k: adapters of a token. Default 3, or all where there are fewer. */
  readonly topK: number;
  /** T of the softmax over their scores. Default 1. */
  readonly temperature: number;
  /** r of each adapter. */
  readonly rank: number;
}

declare module '@peft/core' {
  interface PeftConfigs {
    arrow: ArrowConfig;
  }
}

const OWNER = 'arrow';
const KEYS: readonly (keyof ArrowConfig)[] = ['adapters', 'general', 'topK', 'temperature', 'rank'];

/**
 * Arrow as a method. Its adapter holds copies of others' matrices, which `routeLora` fills in.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const arrow = definePeftMethod({
  name: OWNER,
  exampleOptions: { adapters: ['a', 'b'] },
  formula: 'y = base(x) + Σₑ softmaxₑ(top-k |pₑ·x|/T)·sₑ·Bₑ·Aₑ·x over LoRA adapters e',
  paper: {
    title: 'Towards Modular LLMs by Building and Reusing a Library of LoRAs',
    url: 'https://arxiv.org/abs/2405.11157',
  },
  parseConfig: parseArrowConfig,
  defaultTargets: () => ({ targets: [] }),
  attach: { linear: routed },
});

function parseArrowConfig(input: Partial<ArrowConfig>): ArrowConfig {
  check.knownKeys(OWNER, input, KEYS);
  const { adapters, general = [], temperature = 1, rank = 8 } = input;
  const areNames = (names: unknown): names is readonly string[] =>
    Array.isArray(names) && names.every((name) => typeof name === 'string');
  if (!areNames(adapters) || adapters.length === 0 || !areNames(general))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${OWNER}: adapters and general must be lists of names of adapters, got ${show(adapters)} and ${show(general)}.`,
      { hint: 'adapters needs one at least' },
    );
  const { topK = Math.min(3, adapters.length) } = input;
  check.positiveInteger(OWNER, 'topK', topK);
  check.positive(OWNER, 'temperature', temperature);
  check.positiveInteger(OWNER, 'rank', rank);
  if (topK > adapters.length)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${OWNER}: topK is ${topK}, and there are ${adapters.length} adapters to choose from.`,
      { hint: 'ask for fewer, or give more adapters' },
    );
  return Object.freeze({ adapters, general, topK, temperature, rank });
}

/** What one layer chooses from. */
export interface RoutedMatrices {
  /** A of all adapters, one below the other. */
  readonly a: MatrixParameter; // [E·r, in]
  /** s·B of all adapters, side by side. */
  readonly b: MatrixParameter; // [out, E·r]
  readonly prototypes: MatrixParameter; // [E, in]
}

const known = new WeakMap<object, RoutedMatrices>();

/** The matrices of an attachment of this method. */
export const routedMatricesOf = (attachment: object): RoutedMatrices | undefined =>
  known.get(attachment);

function routed(
  site: SiteHandle<'linear'>,
  { adapters, topK, temperature, rank }: ArrowConfig,
  context: AttachContext,
): LinearAttachment {
  const columns = adapters.length * rank;
  const copied = { trainable: false, saved: false };
  const matrices: RoutedMatrices = {
    a: context.param('arrow_A', [columns, site.inFeatures], zeros, copied),
    b: context.param('arrow_B', [site.outFeatures, columns], zeros, copied),
    prototypes: context.param(
      'arrow_prototypes',
      [adapters.length, site.inFeatures],
      zeros,
      copied,
    ),
  };
  const attachment: LinearAttachment = {
    forward(x, base) {
      const shares = sharesOf(linear(x, matrices.prototypes.value), topK, temperature); // [N, E]
      const narrow = linear(x, matrices.a.value); // [N, E·r]
      const spread = tf.reshape(
        tf.tile(tf.expandDims(shares, 2), [1, 1, rank]),
        narrow.shape,
      ) as Tensor2D;
      return add(base(x), linear(tf.mul<Tensor2D>(narrow, spread), matrices.b.value));
    },
  };
  known.set(attachment, matrices);
  return attachment;
}

/** Shares of the adapters `[N, E]`; which of them are the largest has no gradient. */
function sharesOf(projections: Tensor2D, topK: number, temperature: number): Tensor2D {
  const scores = tf.abs<Tensor2D>(projections); // a singular vector's sign is any
  const [, count] = scores.shape;
  if (topK === count) return tf.softmax(tf.div<Tensor2D>(scores, temperature));
  const others = differentiable<never, Tensor2D>(
    {},
    () =>
      tf.tidy(() => {
        const { indices } = tf.topk(scores, topK);
        const chosen = tf.sum<Tensor2D>(tf.cast(tf.oneHot(indices, count), 'float32'), 1);
        return tf.mul<Tensor2D>(tf.sub(1, chosen), -1e30);
      }),
    () => ({}),
  );
  return tf.softmax(tf.add<Tensor2D>(tf.div(scores, temperature), others));
}
