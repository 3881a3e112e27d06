/** What makes the adapters' weights of hidden states. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  uniform,
  type AttachContext,
  type AttachmentCall,
  type MatrixParameter,
  type VectorParameter,
} from '@peft/core';
import { linear } from '@peft/ops';
import type { XloraConfig } from './xlora-config.js';

interface Layer {
  readonly weight: MatrixParameter;
  readonly bias: VectorParameter;
}

/**
 * The classifier, its parameters under PEFT's names.
 * @returns hidden `[N, D]` → weights `[N, E]`, or with `layerwise` `[N, L·E]`
 */
export function classifierOf(
  { adapters, depth, width, dropout, layerwise, softmax, temperature }: XloraConfig,
  context: AttachContext,
): (hidden: Tensor2D, call: AttachmentCall) => Tensor2D {
  const count = adapters.length;
  const blocks = layerwise ? context.sites.length : 1;
  // PEFT numbers the activations, too, and the dropout where there is some
  const stride = dropout > 0 ? 3 : 2;
  const layers = Array.from({ length: depth }, (_, n): Layer => {
    const inner = n === 0 ? context.description.hiddenSize : width;
    const outer = n === depth - 1 ? count * blocks : width;
    const bound = 1 / Math.sqrt(inner);
    const name = `internal_xlora_classifier.layers.${n * stride}`;
    return {
      weight: context.sharedParam(`${name}.weight`, [outer, inner], uniform(-bound, bound)),
      bias: context.sharedParam(`${name}.bias`, [outer], uniform(-bound, bound)),
    };
  });
  return (hidden, call) => {
    const logits = layers.reduce((x, { weight, bias }, n) => {
      const input = n === 0 ? x : call.dropout(tf.relu(x), dropout, `classifier ${n}`);
      return linear(input, weight.value, bias.value);
    }, hidden);
    if (!softmax) return logits;
    const byBlock = tf.reshape(tf.div(logits, temperature), [-1, count]);
    return tf.reshape(tf.softmax(byBlock), logits.shape) as Tensor2D;
  };
}
