/**
 * LLaMA-Adapter: in the last blocks each query also looks at P learned tokens, by a softmax of their
 * own, and a gate says how much of that counts. Zhang et al. 2023, "LLaMA-Adapter: Efficient
 * Fine-tuning of Language Models with Zero-init Attention":
 *
 *   context = attention(q, k, v) + g·softmax(q·(K·p)ᵀ/√E)·(V·p)         p `[P, D]`, g a number
 *
 * K and V are the block's own projections; the tokens have no positions. The gate starts at 0. (PEFT
 * passes the added part through the output projection apart, whose bias then counts twice; the models
 * here have none.)
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  optionTable,
  zeros,
  type AttentionSite,
  type LinearSite,
  type ModelDescription,
} from '@peft/core';
import { PeftError } from '@peft/errors';

/** Options of adaption prompts. */
export interface AdaptionPromptConfig {
  /** P: learned tokens of a block. Default 10. */
  readonly length: number;
  /** How many blocks have them, counted from the last. Default: all. */
  readonly layers: number | undefined;
}

declare module '@peft/core' {
  interface PeftConfigs {
    'adaption-prompt': AdaptionPromptConfig;
  }
}

const OWNER = 'adaption-prompt';
const table = optionTable<AdaptionPromptConfig>(OWNER, {
  length: { default: 10, is: 'positiveInteger', peft: 'adapter_len' },
  layers: { default: undefined, is: 'positiveInteger', peft: 'adapter_layers' },
});

/**
 * The LLaMA-Adapter method: `adaptionPrompt({ length: 10, layers: 30 })`, on decoders. It cannot be
 * merged.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; PEFT_METHOD_UNSUPPORTED where queries, keys
 *   and values have one projection
 */
export const adaptionPrompt = definePeftMethod({
  name: OWNER,
  peftType: 'ADAPTION_PROMPT',
  peftCommonKeys: [],
  formula: 'context = attention(q, k, v) + g·softmax(q·(K·p)ᵀ/√E)·(V·p)',
  paper: {
    title: 'LLaMA-Adapter: Efficient Fine-tuning of Language Models with Zero-init Attention',
    url: 'https://arxiv.org/abs/2303.16199',
  },
  ...table,
  toPeftConfig: (config, context) => ({
    ...table.toPeftConfig(config, context),
    adapter_layers: config.layers ?? context.sites.length,
    target_modules: context.sites[0]!.path.split('.').at(-1)!,
  }),
  defaultTargets({ sites, layers: blocks }, { layers }) {
    if (blocks.encoder > 0) return { targets: [] };
    const all = sites.filter(({ kind }) => kind === 'attention');
    if (layers !== undefined && layers > all.length)
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `${OWNER}: layers must be at most the model's ${all.length}, got ${layers}.`,
      );
    return { targets: all.slice(-(layers ?? all.length)).map(({ path }) => path) };
  },

  attach: {
    attention(site, { length }, context) {
      const { heads, keyValueHeads, headSize } = site;
      const [key, value] = ['attention.key', 'attention.value'].map((role) =>
        projectionOf(site, role, context.description),
      ) as [LinearSite, LinearSite];
      const gate = context.param('adaption_gate', [1], zeros);
      const prompt = context.param('adaption_prompt', [1, length, key.inFeatures], normal(1));
      /** `[heads, rows, headSize]` of rows `[rows, own·headSize]`, shared heads repeated. */
      const byHead = (rows: Tensor2D, own: number): Tensor3D => {
        const split = tf.transpose(tf.reshape(rows, [-1, own, headSize]) as Tensor3D, [1, 0, 2]);
        if (own === heads) return split;
        const each = heads / own;
        return tf.reshape(tf.tile(tf.expandDims(split, 1), [1, each, 1, 1]), [heads, -1, headSize]);
      };
      return {
        add({ queries }) {
          const tokens = tf.reshape(prompt.value, [length, key.inFeatures]) as Tensor2D;
          const keys = byHead(site.linearAt(key.path, tokens), keyValueHeads);
          const values = byHead(site.linearAt(value.path, tokens), keyValueHeads);
          const scores = tf.matMul(byHead(queries, heads), keys, false, true); // [heads, N, P]
          const weights = tf.mul(tf.softmax(tf.div(scores, Math.sqrt(headSize))), gate.value);
          const added = tf.matMul(weights as Tensor3D, values); // [heads, N, headSize]
          return tf.reshape(tf.transpose(added, [1, 0, 2]), [-1, heads * headSize]);
        },
      };
    },
  },
});

function projectionOf(
  { path, layer }: AttentionSite,
  role: string,
  { modelType, sites }: ModelDescription,
): LinearSite {
  const found = sites.find(
    (site): site is LinearSite =>
      site.kind === 'linear' && site.role === role && site.layer === layer,
  );
  if (!found)
    throw new PeftError(
      'PEFT_METHOD_UNSUPPORTED',
      `${OWNER}: ${path} of this ${modelType} has no projection of its own for ${role}.`,
      { hint: 'use prefixTuning or attentionPrefix' },
    );
  return found;
}
