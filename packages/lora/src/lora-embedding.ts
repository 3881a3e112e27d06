/** LoRA on an embedding: y[n] = E[id] + s·(Aᵀ)[id]·Bᵀ with A `[r, V]` zero at the start and B `[D, r]` ~ N(0, 1). */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { normal, zeros, type AttachContext, type EmbeddingAdapter, type SiteHandle } from '@peft/core';
import { PeftError } from '@peft/errors';
import { gatherRows, linear } from '@peft/ops';
import { strengthAt, type LoraConfig } from './lora-config.js';

/** @throws PEFT_CONFIG_INVALID with DoRA, or an initialiser that reads a linear weight. */
export function loraEmbedding(site: SiteHandle<'embedding'>, config: LoraConfig, context: AttachContext): EmbeddingAdapter {
  if (config.dora) throw new PeftError('PEFT_CONFIG_INVALID', `lora: dora works on linear layers, and ${site.path} is an embedding.`, { hint: 'leave it out of the targets' });
  const strength = strengthAt(site.path, config);
  const isRandom = config.init === 'random';
  const a = context.param('lora_embedding_A', [strength.rank, site.rows], isRandom ? normal(1) : zeros);
  const b = context.param('lora_embedding_B', [site.size, strength.rank], normal(1));
  let { scaling } = strength;
  return {
    forward(ids, base) {
      const narrow = tf.mul<Tensor2D>(gatherRows(tf.transpose(a.value as Tensor2D), ids), scaling); // [N, r]
      return tf.add(base(ids), linear(narrow, b.value as Tensor2D));
    },
    merge: (table) => tf.add(table, tf.mul(tf.matMul(a.value as Tensor2D, b.value as Tensor2D, true, true), scaling)),
    rescale: (factor) => void (scaling *= factor),
  };
}
