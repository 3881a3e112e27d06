/**
 * VB-LoRA: every LoRA matrix is put together from short vectors of one bank, each a mixture of the k
 * that its logits like most. Li et al. 2024, "VB-LoRA: Extreme Parameter Efficient Fine-Tuning with
 * Vector Banks":
 *
 *   y = base(x) + B·(A·x),  A's piece (i, j) = Σ_v softmax(top_k(l_ij))_v·bank_v      bank `[h, b]`
 *
 * Pieces have b numbers: logits `[r, in/b, h]` for A, `[out/b, r, h]` for B. With `saveOnlyTopk` the
 * file holds k indices and k − 1 weights in place of h logits; the others are −∞ when it is read.
 */
import * as tf from '@tensorflow/tfjs';
import type { Rank, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  normal,
  optionTable,
  LAYERED_KEYS,
  queryValueTargets,
  unfreezeBiases,
  uniform,
  type AdapterParameter,
  type StoredForm,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { differentiable, linear } from '@peft/ops';

/** Options of VB-LoRA. */
export interface VbloraConfig {
  /** r. Default 4. */
  readonly rank: number;
  /** h: vectors of the bank. Default 256. */
  readonly vectors: number;
  /** b: their length; divides inputs and outputs. Default 256. */
  readonly vectorLength: number;
  /** k. Default 2. */
  readonly topk: number;
  /** Write indices and weights of the k alone. Default false. */
  readonly saveOnlyTopk: boolean;
  /** Share of the inputs of the added path that training drops, in [0, 1). Default 0. */
  readonly dropout: number;
  /** The bank starts in U(−bound, bound). Default 0.02. */
  readonly initialBound: number;
  /** Standard deviation of the logits at the start. Default 0.1. */
  readonly initialDeviation: number;
  /** Which biases of the model train, too. Default `none`. */
  readonly bias: 'none' | 'all' | 'vblora_only';
}

declare module '@peft/core' {
  interface PeftConfigs {
    vblora: VbloraConfig;
  }
}

/**
 * The VB-LoRA method: `vblora({ rank: 4, vectors: 256 })`. Merging is exact.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY
 */
export const vblora = definePeftMethod({
  name: 'vblora',
  peftType: 'VBLORA',
  peftCommonKeys: LAYERED_KEYS,
  formula: 'y = base(x) + B·A·x, pieces mixed from a bank of vectors',
  paper: {
    title: 'VB-LoRA: Extreme Parameter Efficient Fine-Tuning with Vector Banks',
    url: 'https://arxiv.org/abs/2405.15179',
  },
  ...optionTable<VbloraConfig>(
    'vblora',
    {
      rank: { default: 4, is: 'positiveInteger', peft: 'r' },
      vectors: { default: 256, is: 'positiveInteger', peft: 'num_vectors' },
      vectorLength: { default: 256, is: 'positiveInteger', peft: 'vector_length' },
      topk: { default: 2, is: 'positiveInteger', peft: 'topk' },
      saveOnlyTopk: { default: false, is: 'boolean', peft: 'save_only_topk_weights' },
      dropout: { default: 0, is: 'probability', peft: 'vblora_dropout' },
      initialBound: { default: 0.02, is: 'positive', peft: 'init_vector_bank_bound' },
      initialDeviation: { default: 0.1, is: 'positive', peft: 'init_logits_std' },
      bias: { default: 'none', is: ['none', 'all', 'vblora_only'], peft: 'bias' },
    },
    {
      fanInFanOut: true,
      refuse({ topk, vectors }) {
        if (topk > vectors)
          throw new PeftError(
            'PEFT_CONFIG_INVALID',
            `vblora: topk must be at most vectors, got ${topk} and ${vectors}.`,
          );
      },
    },
  ),
  defaultTargets: queryValueTargets,

  attach: {
    linear(site, config, context) {
      unfreezeBiases(config.bias, site, context);
      const { rank: r, vectors, vectorLength: b, topk, initialBound } = config;
      const [inputs, outputs] = [site.inFeatures / b, site.outFeatures / b];
      if (!Number.isInteger(inputs) || !Number.isInteger(outputs))
        throw new PeftError(
          'PEFT_CONFIG_INVALID',
          `vblora: vectorLength must divide both sides of ${site.path} ` +
            `[${site.outFeatures}, ${site.inFeatures}], got ${b}.`,
        );
      const start = normal(config.initialDeviation);
      const logits = (name: string, shape: readonly [number, number, number]) =>
        context.param(
          name,
          shape,
          start,
          config.saveOnlyTopk ? { form: topkForm(shape, topk) } : {},
        );
      const a = logits('vblora_logits_A', [r, inputs, vectors]);
      const c = logits('vblora_logits_B', [outputs, r, vectors]);
      const bank = context.sharedParam(
        'vblora_vector_bank',
        [vectors, b],
        uniform(-initialBound, initialBound),
      );
      /** The pieces `[rows, columns, b]` of logits. */
      const pieces = (of: AdapterParameter<Rank.R3>): Tensor3D => {
        const [rows, columns] = of.value.shape;
        const flat = tf.reshape(of.value, [rows * columns, vectors]) as Tensor2D;
        const kept = tf.where(largest(flat, topk), flat, tf.fill(flat.shape, -1e9)) as Tensor2D;
        const mixed = tf.matMul(tf.softmax(kept), bank.value);
        return tf.reshape(mixed, [rows, columns, b]);
      };
      const down = (): Tensor2D => tf.reshape(pieces(a), [r, site.inFeatures]);
      const up = (): Tensor2D =>
        tf.reshape(tf.transpose(pieces(c), [0, 2, 1]), [site.outFeatures, r]);
      return {
        forward: (x, base, call) =>
          tf.add(base(x), linear(linear(call.dropout(x, config.dropout), down()), up())),
        merge: ({ weight, bias }) => ({ weight: tf.add(weight, tf.matMul(up(), down())), bias }),
      };
    },
  },
});

/** By how much weights that float32 holds may miss a sum of 1. */
const ROUNDING = 1e-5;

/** Indices of the k largest of a row, largest first. */
function topkOf(row: ArrayLike<number>, k: number): number[] {
  const order = Array.from({ length: row.length }, (_, i) => i);
  return order.sort((i, j) => compare(row[j]!, row[i]!) || i - j).slice(0, k);
}

const compare = (x: number, y: number): number => (x === y ? 0 : x - y);

/** Where a row's k largest stand, off the tape; of equal ones the first. */
const largest = (rows: Tensor2D, k: number): Tensor2D =>
  differentiable<never, Tensor2D>(
    {},
    () =>
      tf.tidy(() => {
        const { indices } = tf.topk(rows, k);
        return tf.cast(tf.sum(tf.oneHot(indices as Tensor2D, rows.shape[1]), 1), 'bool');
      }),
    () => ({}),
  );

/**
 * k indices and the first k − 1 of their weights for each row of logits; what was read is written as it
 * was.
 */
function topkForm(
  [rows, columns, width]: readonly [number, number, number],
  k: number,
): StoredForm {
  const count = rows * columns;
  const dtype = width < 2 ** 8 ? 'U8' : 'I16';
  let last: { values: Float32Array; parts: readonly Float32Array[] } | undefined;
  return {
    parts: [
      {
        suffix: '_topk_indices',
        shape: [rows, columns, k],
        dtype: width < 2 ** 15 ? dtype : 'I32',
      },
      { suffix: '_topk_weights', shape: [rows, columns, k - 1], dtype: 'F32' },
    ],
    write(values) {
      if (last?.values.every((value, i) => value === values[i])) return last.parts;
      const indices = new Float32Array(count * k);
      const weights = new Float32Array(count * (k - 1));
      for (let n = 0; n < count; n += 1) {
        const row = values.subarray(n * width, (n + 1) * width);
        const chosen = topkOf(row, k);
        const sizes = chosen.map((i) => Math.exp(row[i]! - row[chosen[0]!]!));
        const total = sizes.reduce((sum, size) => sum + size, 0);
        indices.set(chosen, n * k);
        weights.set(
          sizes.slice(0, -1).map((size) => size / total),
          n * (k - 1),
        );
      }
      return [indices, weights];
    },
    read(parts) {
      const [indices, weights] = parts;
      const values = new Float32Array(count * width).fill(Number.NEGATIVE_INFINITY);
      for (let n = 0; n < count; n += 1) {
        let rest = 1;
        for (let i = 0; i < k; i += 1) {
          const weight = i < k - 1 ? weights![n * (k - 1) + i]! : rest;
          const index = indices![n * k + i]!;
          if (!(
            Number.isInteger(index) &&
            index >= 0 &&
            index < width &&
            weight > -ROUNDING &&
            weight < 1 + ROUNDING
          ))
            throw new PeftError(
              'PEFT_ADAPTER_MISMATCH',
              `vblora: a file's weight ${weight} of vector ${index} is none of ${width} vectors' shares.`,
              { hint: 'the file is spoilt, or num_vectors of its config is not its own' },
            );
          rest = Math.fround(rest - weight);
          values[n * width + index] = Math.log(Math.max(weight, 0));
        }
      }
      last = { values, parts };
      return values;
    },
  };
}
