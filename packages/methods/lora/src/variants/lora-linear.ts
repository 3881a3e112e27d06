/**
 * LoRA on a linear map: y = base(x) + s·(drop(x)·Aᵀ·Bᵀ + c) with A `[r, in]`, B `[out, r]`, c
 * `[out]` or none. Hu et al. 2021, eq. 3.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import {
  zeros,
  type AdapterParameter,
  type MatrixParameter,
  type VectorParameter,
  type AttachContext,
  type Initializer,
  type LinearAttachment,
  type MergedLinear,
  type SiteHandle,
} from '@peft/core';
import { add, linear } from '@peft/ops';
import { strengthAt, type LoraConfig } from '../lora-config.js';
import { loraInitializer } from './lora-init.js';

/** The parameters of one site and the strength of their product. */
export interface LoraMatrices {
  readonly a: MatrixParameter; // [r, in], of an embedding [r, V]
  readonly b: MatrixParameter; // [out, r], of an embedding [D, r]
  readonly bias?: VectorParameter; // [out]
  /** Start values whose product is taken off again, of A and B's shapes; they do not train. */
  readonly start?: { readonly a: MatrixParameter; readonly b: MatrixParameter };
  /** s. */
  scaling: number;
}

/** Makes A and B (and c) of a site under the names that PEFT gives them. */
export function makeMatrices(
  site: SiteHandle<'linear'>,
  config: LoraConfig,
  context: AttachContext,
): LoraMatrices {
  const { rank, scaling } = strengthAt(site.path, config);
  const initializer = loraInitializer(config.init);
  const start = initializer.start({ site, rank, scaling, context });
  const made: { a?: Float32Array; b?: Float32Array } = {};
  const kept = (name: 'a' | 'b'): Initializer =>
    initializer.takesOver
      ? (shape, key) => (made[name] = start[name](shape, key).slice())
      : start[name];
  const a = context.param('lora_A.weight', [rank, site.inFeatures], kept('a'));
  const b = context.param('lora_B.weight', [site.outFeatures, rank], kept('b'), {
    trainable: !initializer.freezesB,
  });
  if (made.a && made.b) starts.set(a, { a: made.a, b: made.b });
  const fixed = { trainable: false, saved: false };
  return {
    a,
    b,
    ...(initializer.isSubtracted
      ? {
          start: {
            a: context.param('lora_A.start', [rank, site.inFeatures], start.a, fixed),
            b: context.param('lora_B.start', [site.outFeatures, rank], start.b, fixed),
          },
        }
      : {}),
    bias: config.loraBias ? context.param('lora_B.bias', [site.outFeatures], zeros) : undefined,
    scaling,
  };
}

/** Start values that were taken out of the base weight, by the parameter A. */
const starts = new WeakMap<
  AdapterParameter,
  { readonly a: Float32Array; readonly b: Float32Array }
>();

/**
 * What A `[r, in]` and B `[out, r]` started from, where that was taken out of the base weight.
 * @param a the parameter A
 */
export const startOf = (
  a: AdapterParameter | undefined,
): { readonly a: Float32Array; readonly b: Float32Array } | undefined => a && starts.get(a);

const known = new WeakMap<object, LoraMatrices>();

/** The matrices of an adapter that is nothing but their product. */
export const matricesOf = (adapter: object): LoraMatrices | undefined => known.get(adapter);

/** Says that an adapter is nothing but s·B·A. */
export const rememberMatrices = (adapter: object, matrices: LoraMatrices): void =>
  void known.set(adapter, matrices);

/** @returns the adapter of a linear site. */
export function loraLinear(matrices: LoraMatrices, dropout: number): LinearAttachment {
  const adapter: LinearAttachment = {
    forward: (x, base, call) => add(base(x), lowRank(call.dropout(x, dropout), matrices)),
    merge: (base) => mergeLowRank(base, matrices),
    rescale: (factor) => void (matrices.scaling *= factor),
  };
  if (matrices.bias) return adapter;
  const added: LinearAttachment['added'] = ({ training }) =>
    training && dropout > 0
      ? undefined
      : {
          a: matrices.a.value as Tensor2D,
          b: matrices.b.value as Tensor2D,
          scale: matrices.scaling,
        };
  const product = { ...adapter, added };
  rememberMatrices(product, matrices);
  return product;
}

/** s·(x·Aᵀ·Bᵀ + c). x `[N, in]` → `[N, out]`; the scaling is applied to the narrow `[N, r]`. */
export function lowRank(x: Tensor2D, { a, b, bias, scaling }: LoraMatrices): Tensor2D {
  const narrow = tf.mul<Tensor2D>(linear(x, a.value), scaling); // [N, r]
  return linear(narrow, b.value, bias && tf.mul<Tensor1D>(bias.value, scaling));
}

/** W + (s·B)·A, b + s·c: the scaling is applied to the narrow matrix, as in the forward pass. */
function mergeLowRank(
  { weight, bias }: MergedLinear,
  { a, b, bias: own, scaling }: LoraMatrices,
): MergedLinear {
  const added = own && tf.mul<Tensor1D>(own.value, scaling);
  const merged = added && bias ? tf.add<Tensor1D>(bias, added) : (added ?? bias);
  return {
    weight: tf.add(weight, tf.matMul(tf.mul<Tensor2D>(b.value, scaling), a.value)),
    bias: merged,
  };
}
