/**
 * DeBERTa's disentangled attention (He et al. 2021, eq. 4) over a packed batch, as
 * `DisentangledSelfAttention` of Hugging Face's DeBERTa-v2 computes it:
 *
 *   score(i,j) = scale·( q_i·k_j + q_i·pk_{c(i−j)} + k_j·pq_{p(i−j)} ), scale = 1/√(E·(1 + number of position terms))
 *
 * pk and pq are the projected relative embeddings `[S, H·E]` (either may be absent:
 * `pos_att_type`), c and p their row for the distance query − key, from {@link
 * debertaRelativeIndices}. With `share_att_key` the model projects the table by the key and query
 * projections themselves; that is no matter of this operation. The gradient computes the
 * probabilities again from logΣexp.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { check, PeftError } from '@peft/errors';
import type { RelativeIndices } from './deberta-relative-indices.js';
import { differentiable } from '../tape/differentiable.js';
import { referenceDisentangled, referenceDisentangledGradient } from './disentangled-reference.js';
import { joinAttention, joinAttentionGradient, type BesideKeys } from './join-attention.js';
import { runKernel } from '../tape/kernel.js';
import type { DisentangledAttributes, DropoutAttributes } from '../tape/kernels.js';
import { checkOffsets } from '../positions/offsets.js';

/** Which rows see which, and the projected tables of relative positions. */
export interface DisentangledOptions {
  readonly offsets: Int32Array; // [B+1]
  /** H */
  readonly heads: number;
  /** `[S, H·E]`; content to position. */
  readonly positionKeys?: Tensor2D;
  /** `[S, H·E]`; position to content. */
  readonly positionQueries?: Tensor2D;
  readonly indices: RelativeIndices;
  /** Default 1/√(E·(1 + number of position tables)). */
  readonly scale?: number;
  /** Of the probabilities, save those of extra keys. */
  readonly dropout?: DropoutAttributes;
  /**
   * Keys and values `[P, H·E]` without positions that every query sees, or `[B·P, H·E]`, P rows for
   * each sequence in turn, with `perSequence`. Their scores are scale·q·k.
   */
  readonly extra?: {
    readonly keys: Tensor2D;
    readonly values: Tensor2D;
    readonly perSequence?: boolean;
  };
}

type Input = 'q' | 'k' | 'v' | 'positionKeys' | 'positionQueries' | 'extraKeys' | 'extraValues';

/**
 * @param q `[N, H·E]`. @param k `[N, H·E]`. @param v `[N, H·E]`.
 * @returns `[N, H·E]`, owned by the enclosing scope.
 * @throws PEFT_ATTENTION_SHAPE when the shapes or indices do not fit; PEFT_OFFSETS_INVALID.
 */
export function disentangledAttention(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  options: DisentangledOptions,
): Tensor2D {
  const { positionKeys, positionQueries, extra, offsets } = options;
  const attributes = attributesOf(q, k, v, options);
  const own = { q, k, v, positionKeys, positionQueries };
  const inputs: Record<Input, Tensor | undefined> = {
    ...own,
    extraKeys: extra?.keys,
    extraValues: extra?.values,
  };
  const names = (Object.keys(inputs) as Input[]).filter((name) => inputs[name]);
  const beside = (keys: Tensor, values: Tensor): BesideKeys => ({
    keys,
    values,
    offsets: extra?.perSequence ? offsets : undefined,
  });
  return differentiable<Input, Tensor2D>(
    inputs,
    (save) => {
      const parts = runKernel('PeftDisentangledAttention', own, attributes, () =>
        referenceDisentangled(own, attributes),
      ) as [Tensor, Tensor];
      const [y, logSumExp] = extra
        ? joinAttention(q, ...parts, beside(extra.keys, extra.values), attributes)
        : parts;
      save([y, logSumExp, ...names.map((name) => inputs[name]!)]);
      return y;
    },
    ({ dy, saved: [y, logSumExp, ...rest], needs }) => {
      const { extraKeys, extraValues, ...kept } = Object.fromEntries(
        names.map((name, i) => [name, rest[i]!]),
      ) as Partial<Record<Input, Tensor>>;
      const all = { ...kept, y: y!, logSumExp: logSumExp!, dy };
      const need = {
        ...attributes,
        needPositionKeys: needs.positionKeys,
        needPositionQueries: needs.positionQueries,
      };
      const gradients = runKernel('PeftDisentangledAttentionGradient', all, need, () =>
        referenceDisentangledGradient(all, need),
      );
      const made = Object.fromEntries(
        Object.keys(own).map((name, i) => [name, gradients[i]!]),
      ) as Partial<Record<Input, Tensor>>;
      if (extraKeys && extraValues) {
        const { dq, dKeys, dValues } = joinAttentionGradient(
          kept.q!,
          y!,
          logSumExp!,
          dy,
          beside(extraKeys, extraValues),
          attributes,
        );
        Object.assign(made, { q: tf.add(made.q!, dq), extraKeys: dKeys, extraValues: dValues });
      }
      return Object.fromEntries(Object.entries(made).filter(([name]) => needs[name as Input]));
    },
  );
}

function attributesOf(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  {
    offsets,
    heads,
    positionKeys,
    positionQueries,
    indices,
    scale,
    dropout,
    extra,
  }: DisentangledOptions,
): DisentangledAttributes {
  check.positiveInteger('disentangledAttention', 'heads', heads);
  if (dropout) check.probability('disentangledAttention', 'dropout.rate', dropout.rate);
  const [rows, width] = q.shape;
  const size = width / heads;
  if (!Number.isInteger(size))
    throw shapeError(`a width of ${width} does not divide into ${heads} heads`);
  for (const [name, x] of Object.entries({ k, v }))
    if (x.shape[0] !== rows || x.shape[1] !== width)
      throw shapeError(`${name} has shape [${x.shape.join(', ')}], but q is [${rows}, ${width}]`);
  const tables = {
    positionKeys: [positionKeys, indices.contentToPositionIndex],
    positionQueries: [positionQueries, indices.positionToContentIndex],
  } as const;
  for (const [name, [table, index]] of Object.entries(tables)) {
    if (!table) continue;
    if (table.shape[1] !== width)
      throw shapeError(
        `${name} has shape [${table.shape.join(', ')}], but q is [${rows}, ${width}]`,
      );
    if (index.some((row) => row < 0 || row >= table.shape[0]))
      throw shapeError(`an index points outside the ${table.shape[0]} rows of ${name}`);
  }
  checkOffsets('disentangledAttention', offsets, rows);
  if (extra) {
    for (const [name, x] of Object.entries({ keys: extra.keys, values: extra.values }))
      if (x.shape[0] !== extra.keys.shape[0] || x.shape[1] !== width)
        throw shapeError(
          `extra.${name} has shape [${x.shape.join(', ')}], but q is [${rows}, ${width}]`,
        );
    if (extra.perSequence && extra.keys.shape[0] % (offsets.length - 1) !== 0)
      throw shapeError(
        `${extra.keys.shape[0]} extra keys do not divide among ${offsets.length - 1} sequences`,
      );
  }
  const terms = 1 + (positionKeys ? 1 : 0) + (positionQueries ? 1 : 0);
  return {
    offsets,
    heads,
    scale: scale ?? 1 / Math.sqrt(size * terms),
    ...indices,
    dropout: dropout && dropout.rate > 0 ? dropout : undefined,
  };
}

function shapeError(problem: string): PeftError {
  return new PeftError('PEFT_ATTENTION_SHAPE', `disentangledAttention: ${problem}.`, {
    hint: 'q, k and v are [N, H·E], the position tables [S, H·E]',
  });
}
