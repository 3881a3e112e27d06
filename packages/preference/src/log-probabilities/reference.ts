/** The reference model of a run: the same base with the adapters that train switched off. */
import * as tf from '@tensorflow/tfjs';
import type { Model } from '@peft/core';
import { NO_LABEL } from '@peft/data';
import { readInScope, readValues } from '@peft/ops';
import type { CausalBatch, StepPlan } from '@peft/trainer';
import { answerCosts, sequenceOfTokens } from './answer-costs.js';
import { referenceKey, type ReferenceCache } from './reference-cache.js';
import { referenceAdapters, referenceIdentity } from './reference-identity.js';
import { forwardShared } from './shared-starts.js';

/**
 * Runs `body` on the reference: adapters beneath the one that trains stay in force, since they do
 * not train. What it reads comes later, when the adapters are in force again.
 */
export function onReference<T>(model: Model, body: () => T): T {
  const active = model.activeAdapters;
  const frozen = referenceAdapters(model);
  if (frozen.length === 0) return model.withAdaptersDisabled(body);
  model.setActiveAdapters(...frozen);
  try {
    return body();
  } finally {
    model.setActiveAdapters(...active);
  }
}

/**
 * Σ ln π of the labelled tokens of each sequence, without dropout, outside the tape. `[B]`
 * @param group sequences in turn that may begin alike.
 */
export function sequenceLogProbabilities(
  task: string,
  model: Model,
  batch: CausalBatch,
  group = 1,
): Promise<Float32Array> {
  return readInScope(() => {
    const output = forwardShared(model, batch, group, { logitRows: 'none' });
    const sequences = sequenceOfTokens(batch.offsets);
    const sums = answerCosts(task, output, batch).sums(
      (token) => sequences[token]!,
      batch.offsets.length - 1,
    );
    return readValues(tf.neg(sums)); // numbers that the loss compares with
  });
}

/**
 * ln π_ref of each sequence's answer `[B]`, by batch; the model runs where the cache lacks one. A
 * sequence's value depends on no other, so that a cached one is the same as a computed one.
 */
export async function referenceLogProbabilities(
  task: string,
  model: Model,
  batches: readonly CausalBatch[],
  { cache, group }: { readonly cache: ReferenceCache; readonly group: number },
  { share, rank }: StepPlan,
): Promise<readonly Float32Array[]> {
  const frozen = referenceAdapters(model);
  if (frozen.length > 0) await model.toHost(...frozen); // their values are part of the identity
  const identity = referenceIdentity(model);
  const keys = batches.map((batch) => referenceKeys(batch, identity));
  const all = await share(batches.length, (i) => {
    const known = keys[i]!.map((key) => cache.get(key));
    return known.every((value) => value !== undefined)
      ? Float32Array.from(known)
      : onReference(model, () => sequenceLogProbabilities(task, model, batches[i]!, group));
  });
  cache.add(new Map(all.flatMap((values, i) => keys[i]!.map((key, b) => [key, values[b]!]))), rank);
  return all;
}

/** Of each sequence. */
const referenceKeys = (
  { inputIds, tokenLabels, offsets }: CausalBatch,
  identity: string,
): string[] =>
  Array.from({ length: offsets.length - 1 }, (_, b) => {
    const [start, end] = [offsets[b]!, offsets[b + 1]!];
    return referenceKey(
      inputIds.slice(start, end),
      tokenLabels.slice(start, end).map((label) => (label === NO_LABEL ? 0 : 1)),
      identity,
    );
  });
