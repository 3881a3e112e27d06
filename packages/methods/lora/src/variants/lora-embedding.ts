/**
 * LoRA on an embedding: y[n] = E[id] + s·(Aᵀ)[id]·Bᵀ with A `[r, V]` zero at the start and B `[D,
 * r]` ~ N(0, 1).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  normal,
  zeros,
  type AttachContext,
  type EmbeddingAttachment,
  type SiteHandle,
} from '@peft/core';
import { gatherRows, linear } from '@peft/ops';
import { strengthAt, type LoraConfig } from '../lora-config.js';
import { rememberMatrices, type LoraMatrices } from './lora-linear.js';

/** Makes A and B of an embedding under the names that PEFT gives them. */
export function makeEmbeddingMatrices(
  site: SiteHandle<'embedding'>,
  config: LoraConfig,
  context: AttachContext,
): LoraMatrices {
  const { rank, scaling } = strengthAt(site.path, config);
  return {
    a: context.param(
      'lora_embedding_A',
      [rank, site.rows],
      config.init === 'random' ? normal(1) : zeros,
    ),
    b: context.param('lora_embedding_B', [site.size, rank], normal(1)),
    scaling,
  };
}

/** @returns the adapter of an embedding. */
export function loraEmbedding(matrices: LoraMatrices): EmbeddingAttachment {
  const adapter: EmbeddingAttachment = {
    forward: (ids, base) => tf.add(base(ids), lowRankRows(ids, matrices)),
    merge: (table) => tf.add(table, lowRankTable(matrices)),
    rescale: (factor) => void (matrices.scaling *= factor),
  };
  rememberMatrices(adapter, matrices);
  return adapter;
}

/** s·(Aᵀ)[id]·Bᵀ `[N, D]`. */
export function lowRankRows(ids: Int32Array, { a, b, scaling }: LoraMatrices): Tensor2D {
  // [N, r]
  const narrow = tf.mul<Tensor2D>(gatherRows(tf.transpose(a.value), ids), scaling);
  return linear(narrow, b.value);
}

/** s·Aᵀ·Bᵀ `[V, D]`. */
export const lowRankTable = ({ a, b, scaling }: LoraMatrices): Tensor2D =>
  tf.mul(tf.matMul(a.value, b.value, true, true), scaling);
