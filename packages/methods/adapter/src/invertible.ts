/**
 * An invertible adapter behind the embeddings, the coupling block of NICE (Dinh et al. 2015) as
 * MAD-X uses it (Pfeiffer et al. 2020):
 *
 *   [x₁, x₂] = x, y₁ = x₁ + F(x₂), y₂ = x₂ + G(y₁), F and G linear – f – linear
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { normal, zeros, type AttachContext, type ModelDescription } from '@peft/core';
import { activate, activationNamed, linear } from '@peft/ops';
import type { BottleneckConfig } from './bottleneck-config.js';

/**
 * Path of the site behind which it stands: the norm of the embeddings, or the word embedding where
 * there is none.
 */
export function embeddingEnd({ sites }: ModelDescription): string | undefined {
  return (
    sites.find(({ kind, role }) => kind === 'norm' && role === 'norm.embedding') ??
    sites.find(({ kind, role }) => kind === 'embedding' && role === 'embedding.word')
  )?.path;
}

/** @param width D. @returns a function of `[N, D]`. */
export function couplingBlock(
  width: number,
  { nonLinearity, invAdapterReductionFactor }: BottleneckConfig,
  context: AttachContext,
): (x: Tensor2D) => Tensor2D {
  const first = Math.floor(width / 2);
  const network = (
    name: string,
    inFeatures: number,
    outFeatures: number,
  ): ((x: Tensor2D) => Tensor2D) => {
    const size = Math.floor(inFeatures / invAdapterReductionFactor!);
    const layer = (index: number, out: number, into: number) => {
      const weight = context.sharedParam(
        `invertible_adapters.${name}.${index}.weight`,
        [out, into],
        normal(0.02),
      );
      const bias = context.sharedParam(`invertible_adapters.${name}.${index}.bias`, [out], zeros);
      return (x: Tensor2D) => linear(x, weight.value, bias.value);
    };
    const [down, up] = [layer(0, size, inFeatures), layer(2, outFeatures, size)];
    const activation = activationNamed(nonLinearity);
    return (x) => up(activate(activation, down(x)));
  };
  const [f, g] = [network('F', width - first, first), network('G', first, width - first)];
  return (x) => {
    const [x1, x2] = tf.split(x, [first, width - first], 1) as [Tensor2D, Tensor2D];
    const y1 = tf.add<Tensor2D>(x1, f(x2));
    return tf.concat([y1, tf.add<Tensor2D>(x2, g(y1))], 1);
  };
}
