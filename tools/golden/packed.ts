/** Between the padded rows of a case and packed batches. */
import type { ModelBatch } from '@peft/core';

export interface PaddedBatch {
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[];
  readonly token_type_ids?: readonly (readonly number[])[];
  readonly task_ids?: readonly number[];
}

/** Keeps the positions whose mask is 1 (default: all). */
export function packRows(
  rows: readonly (readonly number[])[],
  mask?: readonly (readonly number[])[],
): { values: Int32Array; offsets: Int32Array } {
  const kept = rows.map((row, b) => row.filter((_, t) => (mask ? mask[b]![t] === 1 : true)));
  return {
    values: Int32Array.from(kept.flat()),
    offsets: Int32Array.from(
      kept.reduce<number[]>((ends, row) => [...ends, ends.at(-1)! + row.length], [0]),
    ),
  };
}

export function packBatch(batch: PaddedBatch): ModelBatch {
  const { values: inputIds, offsets } = packRows(batch.input_ids, batch.attention_mask);
  return {
    inputIds,
    offsets,
    ...(batch.task_ids && { taskIds: Int32Array.from(batch.task_ids) }),
    ...(batch.token_type_ids && {
      tokenTypeIds: packRows(batch.token_type_ids, batch.attention_mask).values,
    }),
  };
}

/** All columns, with flags for those whose mask is 0: where a result depends on padding. */
export function keepPadding(batch: PaddedBatch): ModelBatch {
  const length = batch.input_ids[0]!.length;
  return {
    inputIds: Int32Array.from(batch.input_ids.flat()),
    offsets: Int32Array.from({ length: batch.input_ids.length + 1 }, (_, b) => b * length),
    padding: Uint8Array.from(batch.attention_mask.flat(), (isToken) => 1 - isToken),
    ...(batch.task_ids && { taskIds: Int32Array.from(batch.task_ids) }),
    ...(batch.token_type_ids && { tokenTypeIds: Int32Array.from(batch.token_type_ids.flat()) }),
  };
}

/** Rows `[N, D]` at the places of the mask's ones in `[B, T, D]`, the rest 0. */
export function unpackRows(
  values: ArrayLike<number>,
  width: number,
  mask: readonly (readonly number[])[],
): Float32Array {
  const length = mask[0]!.length;
  const out = new Float32Array(mask.length * length * width);
  let n = 0;
  mask.forEach((row, b) =>
    row.forEach((isToken, t) => {
      if (!isToken) return;
      for (let d = 0; d < width; d += 1) out[(b * length + t) * width + d] = values[n * width + d]!;
      n += 1;
    }),
  );
  if (n * width !== values.length)
    throw new Error(`${values.length} values for ${n} tokens of width ${width}`);
  return out;
}

/**
 * Labels of a causal language model for packed rows: each row's is the next token's, the last has
 * none (−100).
 */
export function nextLabels(labels: Int32Array, offsets: Int32Array): Int32Array {
  const shifted = new Int32Array(labels.length).fill(-100);
  for (let b = 0; b + 1 < offsets.length; b += 1)
    for (let n = offsets[b]!; n + 1 < offsets[b + 1]!; n += 1) shifted[n] = labels[n + 1]!;
  return shifted;
}
