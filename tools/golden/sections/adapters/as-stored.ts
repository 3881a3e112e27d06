/** Weights and what adapters add to them, as the checkpoint stores them. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { LinearAttachment, LinearSite, Model } from '@peft/core';

/** What an adapter adds to a weight, as the checkpoint stores that. */
export const deltaOf = (
  model: Model,
  { weight, inFeatures, outFeatures }: LinearSite,
  adapter: LinearAttachment,
): ArrayLike<number> =>
  asStored(
    model,
    weight,
    adapter.merge!({ weight: tf.zeros([outFeatures, inFeatures]) }).weight,
  ).dataSync();

/** GPT-2's matrices are stored as `[in, out]`. */
export const asStored = (model: Model, parameter: string, value: Tensor): Tensor =>
  model.description.parameters.find((spec) => spec.name === parameter)?.transposed
    ? tf.transpose(value)
    : value;
