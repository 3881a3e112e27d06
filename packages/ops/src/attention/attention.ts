/**
 * Scaled dot-product attention (Vaswani et al. 2017) over a packed batch, each sequence to itself
 * or to its partner:
 *
 *   y_i = Σ_j p_ij·v_j, p_i = dropout(softmax_j(score(i,j))), score(i,j) = cap(scale·q_i·k_j) + bias(j − i)
 *
 * Masks (causal, window), grouped key heads, extra keys that every sequence sees (prefix tuning)
 * and relative biases (T5) are defined in `AttentionAttributes`. Only logΣexp of each query's
 * scores is kept; the gradient computes the probabilities again: with δ_i = dy_i·y_i, dscore_ij =
 * p_ij·(dy_i·v_j − δ_i), dq = scale·dscore·k, dk = scale·dscoreᵀ·q, dv = pᵀ·dy.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { check, PeftError } from '@peft/errors';
import { referenceAttention, referenceAttentionGradient } from './attention-reference.js';
import { differentiable } from '../tape/differentiable.js';
import { gatherRows } from '../rows/gather-rows.js';
import { runKernel } from '../tape/kernel.js';
import type { AttentionAttributes, DropoutAttributes } from '../tape/kernels.js';
import { checkOffsets } from '../positions/offsets.js';

/** Which rows see which, and how scores are changed before the softmax. */
export interface AttentionOptions {
  /** `[B+1]` rows of q. */
  readonly queryOffsets: Int32Array;
  /** `[B+1]` rows of k and v. Default: `queryOffsets` (self-attention). */
  readonly keyOffsets?: Int32Array;
  /**
   * Row of k and v at which the keys of each sequence begin `[B]`, where they do not lie one after
   * another; `keyOffsets` then only counts them. Such keys have no gradient. Default: `keyOffsets`.
   */
  readonly keyStarts?: Int32Array;
  /** H */
  readonly heads: number;
  /** Default H. Query head h reads key head floor(h·keyValueHeads/H). */
  readonly keyValueHeads?: number;
  /** Default 1/√E, E the width of a head. */
  readonly scale?: number;
  /**
   * Query i sees keys j ≤ i, counted so that the last query stands at the last key. Default false.
   */
  readonly causal?: boolean;
  /** Causal: keys j > i − window are seen. Otherwise: |i − j| ≤ window/2. Default 0: no window. */
  readonly window?: number;
  /** Scaled products z become softCap·tanh(z/softCap). Default 0: none. */
  readonly softCap?: number;
  /**
   * The score of (i, j) gains values[h, index[j − i + origin]], clipped to the ends of `index`;
   * values `[H, S]`.
   */
  readonly bias?: {
    readonly values: Tensor2D;
    readonly index: Int32Array;
    readonly origin: number;
  };
  /** Keys and values `[P, Hkv·E]` that every query of every sequence sees, before its own. */
  readonly extra?: { readonly keys: Tensor2D; readonly values: Tensor2D };
  /** Of the probabilities. */
  readonly dropout?: DropoutAttributes;
  /**
   * A score of each head `[H]` that stands beside those of the keys and has no value, so that its
   * share of the probabilities goes nowhere. Default none.
   */
  readonly sinks?: Tensor1D;
}

type Input = 'q' | 'k' | 'v' | 'bias' | 'extraKeys' | 'extraValues';
type AttentionInputs = Record<Input, Tensor | undefined>;

/**
 * @param q `[Nq, H·E]`. @param k `[Nk, Hkv·E]`. @param v `[Nk, Hkv·E]`.
 * @returns `[Nq, H·E]`, owned by the enclosing scope.
 * @throws PEFT_ATTENTION_SHAPE when shapes, heads and offsets do not fit together;
 *   PEFT_OFFSETS_INVALID.
 */
export function attention(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  options: AttentionOptions,
): Tensor2D {
  const attributes = attributesOf(q, k, v, options);
  const { bias, extra, sinks, keyStarts } = options;
  const inputs: AttentionInputs = {
    q,
    k,
    v,
    bias: bias?.values,
    extraKeys: extra?.keys,
    extraValues: extra?.values,
  };
  const names = (Object.keys(inputs) as Input[]).filter((name) => inputs[name]);
  return differentiable<Input | 'sinks', Tensor2D>(
    { ...inputs, sinks },
    (save) => {
      const [ownY, ownSum] = keyStarts
        ? spacedAttention(inputs, { ...attributes, keyStarts })
        : packedAttention(inputs, attributes);
      const [y, logSumExp] = sinks ? withSinks(ownY!, ownSum!, sinks) : [ownY, ownSum];
      const beside = sinks ? [sinks] : [];
      save([y!, logSumExp!, ...names.map((name) => inputs[name]!), ...beside]);
      return y!;
    },
    ({ dy, saved: [y, logSumExp, ...rest], needs }) => {
      if (keyStarts)
        throw new PeftError(
          'PEFT_ATTENTION_SPACED',
          'attention: keys with room between sequences have no gradient.',
          { hint: 'train without a cache' },
        );
      const kept = Object.fromEntries(names.map((name, i) => [name, rest[i]!])) as Partial<
        Record<Input, Tensor>
      >;
      const all = { ...kept, y: y!, logSumExp: logSumExp!, dy };
      const gradients = runKernel(
        'PeftAttentionGradient',
        all,
        { ...attributes, needBias: needs.bias },
        () => referenceAttentionGradient(all, attributes, needs.bias),
      );
      return {
        ...(Object.fromEntries(
          (Object.keys(inputs) as Input[])
            .map((name, i) => [name, gradients[i]!])
            .filter(([name]) => needs[name as Input]),
        ) as Partial<Record<Input, Tensor>>),
        sinks: needs.sinks ? sinkGradient(y!, logSumExp!, dy, rest.at(-1)!) : undefined,
      };
    },
  );
}

const packedAttention = (inputs: AttentionInputs, attributes: AttentionAttributes): Tensor[] =>
  runKernel('PeftAttention', inputs, attributes, () => referenceAttention(inputs, attributes));

/** Without a kernel for it, the keys are put together first. */
function spacedAttention(
  inputs: AttentionInputs,
  { keyStarts, ...attributes }: AttentionAttributes & { readonly keyStarts: Int32Array },
): Tensor[] {
  return runKernel('PeftSpacedAttention', inputs, { ...attributes, keyStarts }, () => {
    const rows = spacedRows(attributes.keyOffsets, keyStarts);
    const [k, v] = [inputs.k, inputs.v].map((x) => gatherRows(x as Tensor2D, rows));
    return packedAttention({ ...inputs, k, v }, attributes);
  });
}

/** Rows of sequences that begin at `starts`, one after another; `offsets` count them. */
export function spacedRows(offsets: Int32Array, starts: Int32Array): Int32Array {
  const rows = new Int32Array(offsets.at(-1)!);
  starts.forEach((start, b) => {
    for (let row = offsets[b]!; row < offsets[b + 1]!; row += 1)
      rows[row] = start + row - offsets[b]!;
  });
  return rows;
}

/**
 * The result with the sinks s among the scores: with w = exp(logΣexp − logΣexp′), logΣexp′ =
 * log(exp(logΣexp) + exp(s)), y′ = w·y. As the sinks have no value, all other gradients are those of
 * the kernel at y′ and logΣexp′.
 */
function withSinks(y: Tensor, logSumExp: Tensor, sinks: Tensor1D): [Tensor, Tensor] {
  const [rows, heads] = logSumExp.shape as [number, number];
  const largest = tf.maximum(logSumExp, sinks);
  const whole = tf.add(
    largest,
    tf.log(tf.add(tf.exp(tf.sub(logSumExp, largest)), tf.exp(tf.sub(sinks, largest)))),
  );
  const share = tf.expandDims(tf.exp(tf.sub(logSumExp, whole)), 2); // w [N, H, 1]
  return [tf.reshape(tf.mul(tf.reshape(y, [rows, heads, -1]), share), y.shape), whole];
}

/** ds_h = −Σ_n exp(s_h − logΣexp′_nh)·δ_nh, δ = dy·y′ of a head. */
function sinkGradient(y: Tensor, logSumExp: Tensor, dy: Tensor, sinks: Tensor): Tensor {
  const [rows, heads] = logSumExp.shape as [number, number];
  const delta = tf.sum(tf.reshape(tf.mul(dy, y), [rows, heads, -1]), 2);
  return tf.neg(tf.sum(tf.mul(tf.exp(tf.sub(sinks, logSumExp)), delta), 0));
}

function attributesOf(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  options: AttentionOptions,
): AttentionAttributes {
  const {
    queryOffsets,
    keyOffsets = queryOffsets,
    heads,
    keyValueHeads = heads,
    causal = false,
    window = 0,
    softCap = 0,
    bias,
    extra,
    dropout,
  } = options;
  check.positiveInteger('attention', 'heads', heads);
  check.positiveInteger('attention', 'keyValueHeads', keyValueHeads);
  const size = q.shape[1] / heads;
  const { scale = 1 / Math.sqrt(size) } = options;
  const fits = (name: string, tensor: Tensor2D, shape: readonly [number | undefined, number]) => {
    if (
      tensor.shape.length !== 2 ||
      (shape[0] !== undefined && tensor.shape[0] !== shape[0]) ||
      tensor.shape[1] !== shape[1]
    ) {
      throw shapeError(
        `${name} has shape [${tensor.shape.join(', ')}], but q is [${q.shape.join(', ')}] ` +
          `with ${heads} heads and ${keyValueHeads} key heads`,
      );
    }
  };
  if (!Number.isInteger(size) || heads % keyValueHeads !== 0)
    throw shapeError(
      `a width of ${q.shape[1]}, ${heads} heads and ${keyValueHeads} key heads do not divide`,
    );
  fits('k', k, [undefined, keyValueHeads * size]);
  fits('v', v, [k.shape[0], keyValueHeads * size]);
  if (extra) {
    fits('extra.keys', extra.keys, [undefined, keyValueHeads * size]);
    fits('extra.values', extra.values, [extra.keys.shape[0], keyValueHeads * size]);
  }
  if (bias && bias.values.shape[0] !== heads)
    throw shapeError(`bias has ${bias.values.shape[0]} rows for ${heads} heads`);
  if (bias && bias.index.some((entry) => entry < 0 || entry >= bias.values.shape[1]))
    throw shapeError(
      `an entry of bias.index is outside the ${bias.values.shape[1]} columns of bias.values`,
    );
  if (options.sinks && options.sinks.shape[0] !== heads)
    throw shapeError(`there are ${options.sinks.shape[0]} sinks for ${heads} heads`);
  if (dropout) check.probability('attention', 'dropout.rate', dropout.rate);
  checkOffsets('attention', queryOffsets, q.shape[0]);
  if (options.keyStarts) checkStarts(keyOffsets, options.keyStarts, k.shape[0]);
  else checkOffsets('attention', keyOffsets, k.shape[0]);
  if (keyOffsets.length !== queryOffsets.length)
    throw shapeError(
      `${queryOffsets.length - 1} sequences of queries, ${keyOffsets.length - 1} of keys`,
    );
  if (causal || window > 0) {
    for (let b = 1; b < queryOffsets.length; b += 1) {
      const [queries, keys] = [
        queryOffsets[b]! - queryOffsets[b - 1]!,
        keyOffsets[b]! - keyOffsets[b - 1]!,
      ];
      if (queries > keys)
        throw shapeError(
          `sequence ${b - 1} has ${queries} queries and ${keys} keys, so under this mask a query would see nothing`,
        );
    }
  }
  return {
    queryOffsets,
    keyOffsets,
    heads,
    keyValueHeads,
    scale,
    causal,
    window,
    softCap,
    biasIndex: bias?.index,
    biasOrigin: bias?.origin,
    dropout: dropout && dropout.rate > 0 ? dropout : undefined,
    extra: extra?.keys.shape[0] ?? 0,
  };
}

/** @throws PEFT_OFFSETS_INVALID, PEFT_ATTENTION_SHAPE when a sequence's keys are outside of k */
function checkStarts(offsets: Int32Array, starts: Int32Array, rows: number): void {
  checkOffsets('attention', offsets, offsets.at(-1)!);
  if (starts.length !== offsets.length - 1)
    throw shapeError(`${starts.length} starts of keys for ${offsets.length - 1} sequences`);
  starts.forEach((start, b) => {
    const count = offsets[b + 1]! - offsets[b]!;
    if (start < 0 || start + count > rows)
      throw shapeError(`the ${count} keys from row ${start} on are outside of the ${rows} rows`);
  });
}

function shapeError(problem: string): PeftError {
  return new PeftError('PEFT_ATTENTION_SHAPE', `attention: ${problem}.`, {
    hint: 'q is [Nq, H·E], k and v [Nk, Hkv·E], and H is a multiple of Hkv',
  });
}
