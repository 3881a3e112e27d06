/** The reference model of a run: the same base with the adapters that train switched off. */
import * as tf from '@tensorflow/tfjs';
import type { Model } from '@peft/core';
import { NO_LABEL } from '@peft/data';
import type { CausalBatch } from '@peft/trainer';
import { answerCosts, sequenceOfTokens } from './answer-costs.js';
import { referenceKey, type ReferenceCache } from './reference-cache.js';

/**
 * Runs `body` on the reference: adapters beneath the one that trains stay in force, since they do
 * not train.
 */
export function onReference<T>(model: Model, body: () => T): T {
  const active = model.activeAdapters;
  const frozen = active.filter((name) => !model.adapter(name).isTrainable);
  if (frozen.length === 0) return model.withAdaptersDisabled(body);
  model.setActiveAdapters(...frozen);
  try {
    return body();
  } finally {
    model.setActiveAdapters(...active);
  }
}

/** Σ ln π of the labelled tokens of each sequence, without dropout, outside the tape. `[B]` */
export function sequenceLogProbabilities(
  task: string,
  model: Model,
  batch: CausalBatch,
): Float32Array {
  return tf.tidy(() => {
    const output = model.forward(batch, { logitRows: 'none' });
    const sequences = sequenceOfTokens(batch.offsets);
    const sums = answerCosts(task, output, batch).sums(
      (token) => sequences[token]!,
      batch.offsets.length - 1,
    );
    return tf.neg(sums).dataSync<'float32'>().slice(); // numbers that the loss compares with
  });
}

/**
 * ln π_ref of each sequence's answer `[B]`; the model runs where the cache lacks one. A sequence's
 * value depends on no other, so that a cached one is the same as a computed one.
 */
export function referenceLogProbabilities(
  task: string,
  model: Model,
  batch: CausalBatch,
  cache: ReferenceCache,
): Float32Array {
  const keys = Array.from({ length: batch.offsets.length - 1 }, (_, b) => {
    const [start, end] = [batch.offsets[b]!, batch.offsets[b + 1]!];
    return referenceKey(
      batch.inputIds.slice(start, end),
      batch.tokenLabels.slice(start, end).map((label) => (label === NO_LABEL ? 0 : 1)),
    );
  });
  const known = keys.map((key) => cache.get(key));
  if (known.every((value) => value !== undefined)) return Float32Array.from(known);
  const made = onReference(model, () => sequenceLogProbabilities(task, model, batch));
  cache.add(new Map(keys.map((key, b) => [key, made[b]!])));
  return made;
}
