/**
 * X-LoRA: LoRA adapters that were trained apart, weighed token by token and, if asked, layer by layer,
 * by a classifier of what the model makes of the batch without them. Buehler & Buehler 2024, "X-LoRA:
 * Mixture of Low-Rank Adapter Experts", equations 3 to 6:
 *
 *   h = last hidden state of a pass ahead, without gradient      `[N, D]`
 *   z = classifier(h), c = softmax(z/T)                          `[N, E]`, or `[N, L, E]` for L layers
 *   y = base(x) + g·Σₑ cₑ·sₑ·Bₑ·Aₑ·x
 *
 * The classifier is one linear layer, or several with ReLU in between. With k, the weights of all but
 * the k largest are 0, and a second softmax may follow over the rest. In the pass ahead all weights are
 * one constant, 0 where it is not given; with k, of adapters alike the first k count there.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  type AttachContext,
  type AttachmentCall,
  type EmbeddingAttachment,
  type LinearAttachment,
  type ModelDescription,
  type SiteHandle,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { add, differentiable, gatherRows, linear } from '@peft/ops';
import type { LoraMatrices } from '../variants/lora-linear.js';
import { classifierOf } from './xlora-classifier.js';
import {
  fromPeftXlora,
  options,
  parseXloraConfig,
  toPeftXlora,
  type XloraConfig,
} from './xlora-config.js';
import { expertsOf, innerAdapters, matricesIn, type Expert } from './xlora-experts.js';

declare module '@peft/core' {
  interface PeftConfigs {
    xlora: XloraConfig;
  }
}

/**
 * The X-LoRA method: `xlora({ adapters: ['adapters/law', 'adapters/code'] })`. Weights differ from
 * token to token: it cannot be merged, and generating goes without a cache.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; while it attaches what reading the adapters
 *   throws, and PEFT_CONFIG_UNSUPPORTED for one that is no plain LoRA
 */
export const xlora = definePeftMethod({
  name: 'xlora',
  peftType: 'XLORA',
  exampleOptions: { adapters: [{ rank: 8 }, { rank: 8 }], trainableAdapters: true },
  formula:
    'y = base(x) + g·Σₑ cₑ·sₑ·Bₑ·Aₑ·x over LoRA adapters e, c = softmax(classifier(h)/T), h of a pass ahead',
  paper: {
    title: 'X-LoRA: Mixture of Low-Rank Adapter Experts',
    url: 'https://arxiv.org/abs/2402.07148',
  },
  options,
  parseConfig: parseXloraConfig,
  peftCommonKeys: [],
  toPeftConfig: toPeftXlora,
  fromPeftConfig: (json, _shapes, folder) => fromPeftXlora(json, folder),
  innerAdapters: (config, { description }) => innerAdapters(config, description),
  defaultTargets: (description, config) => ({ targets: targetsOf(config, description) }),

  attach: {
    linear(site, config, context) {
      const parts = partsAt(site, config, context);
      const share = sharesFor(site.path, config, context);
      const attachment: LinearAttachment = {
        forward: (x, base, call) =>
          parts.reduce((y, { number, expert, matrices }) => {
            const own = share.of(call, number, x.shape[0]);
            if (own === 0) return y;
            const dropped = call.dropout(x, expert.config.dropout, `dropout ${number}`);
            const narrow = linear(dropped, matrices.a.value);
            return add(y, weighed(narrow, own, matrices));
          }, base(x)),
        rescale: share.rescale,
      };
      return attachment;
    },
    embedding(site, config, context) {
      const parts = partsAt(site, config, context);
      const share = sharesFor(site.path, config, context);
      const attachment: EmbeddingAttachment = {
        forward: (ids, base, call) =>
          parts.reduce((y, { number, matrices }) => {
            const own = share.of(call, number, ids.length);
            if (own === 0) return y;
            const narrow = gatherRows(tf.transpose(matrices.a.value) as Tensor2D, ids);
            return add(y, weighed(narrow, own, matrices));
          }, base(ids)),
        rescale: share.rescale,
      };
      return attachment;
    },
  },
});

/** Sites of all adapters, each once. */
function targetsOf(config: XloraConfig, description: ModelDescription): readonly string[] {
  const paths = expertsOf(config, description).flatMap(({ adapter }) =>
    adapter.wrappedSites.map(({ path }) => path),
  );
  return [...new Set(paths)];
}

interface ExpertAt {
  readonly number: number;
  readonly expert: Expert;
  readonly matrices: LoraMatrices;
}

/** The adapters that stand on a site. */
const partsAt = (
  site: SiteHandle<'linear'> | SiteHandle<'embedding'>,
  config: XloraConfig,
  context: AttachContext,
): readonly ExpertAt[] =>
  expertsOf(config, context.description).flatMap((expert, number) =>
    expert.adapter.at(site.kind, site.path).length > 0
      ? [{ number, expert, matrices: matricesIn(site, number, expert, config, context) }]
      : [],
  );

/** narrow `[N, r]` → c·s·narrow·Bᵀ `[N, out]`. */
const weighed = (
  narrow: Tensor2D,
  share: Tensor2D | number,
  { b, scaling }: LoraMatrices,
): Tensor2D => linear(tf.mul<Tensor2D>(tf.mul(narrow, share), scaling), b.value);

interface Shares {
  /** g·c of an adapter, `[N, 1]` or one for all tokens. */
  of(call: AttachmentCall, number: number, rows: number): Tensor2D | number;
  readonly rescale: (factor: number) => void;
}

/** What the adapters count for at a site; the first that asks makes the classifier. */
function sharesFor(path: string, config: XloraConfig, context: AttachContext): Shares {
  const layer = context.sites.findIndex((site) => site.path === path);
  const count = config.adapters.length;
  const classify = context.shared('xlora classifier', () => classifierOf(config, context));
  context.lookAhead((hidden, call) => chosen(classify(hidden, call), config));
  let { strength } = config;
  return {
    of(call, number, rows) {
      const ahead = call.ahead();
      if (!ahead) return strength * shareAhead(config, number);
      if (ahead.shape[0] !== rows)
        throw new PeftError(
          'PEFT_LAYOUT_UNKNOWN',
          `${path}: xlora weighs the ${ahead.shape[0]} tokens of a batch, and was given ${rows} rows.`,
          { hint: 'leave what follows the tokens (a pooler, a head) out of the targets' },
        );
      const column = (config.layerwise ? layer * count : 0) + number;
      return tf.mul<Tensor2D>(tf.slice(ahead, [0, column], [-1, 1]), strength);
    },
    rescale: (factor) => void (strength *= factor),
  };
}

/** The weight of an adapter in the pass ahead, where all are given the same. */
function shareAhead({ aheadWeight, topK, topKSoftmax, adapters }: XloraConfig, n: number): number {
  const count = topK ?? adapters.length;
  if (aheadWeight === 0 || n >= count) return 0;
  return topKSoftmax ? 1 / count : aheadWeight;
}

/**
 * Weights `[N, E]`, or `[N, L·E]` of L layers, without all but the k largest of each layer, and their
 * softmax; which they are has no gradient.
 */
function chosen(all: Tensor2D, { topK, topKSoftmax, adapters }: XloraConfig): Tensor2D {
  if (topK === undefined && !topKSoftmax) return all;
  const count = adapters.length;
  const weights = tf.reshape(all, [-1, count]) as Tensor2D;
  const kept = differentiable<never, Tensor2D>(
    {},
    () =>
      tf.tidy(() => {
        const { indices } = tf.topk(weights, topK ?? count);
        const largest = tf.sum(tf.oneHot(indices, count) as Tensor3D, 1);
        const isKept = topKSoftmax
          ? tf.logicalAnd(tf.cast(largest, 'bool'), tf.notEqual(weights, 0))
          : largest;
        return tf.cast<Tensor2D>(isKept as Tensor2D, 'float32');
      }),
    () => ({}),
  );
  if (!topKSoftmax) return tf.reshape(tf.mul(weights, kept), all.shape);
  const others = tf.mul(tf.sub(1, kept), -1e30);
  const shares = tf.softmax(tf.add<Tensor2D>(weights, others));
  return tf.reshape(tf.mul(shares, kept), all.shape);
}
