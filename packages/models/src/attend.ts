/** Attention at a site: what adapters extend it by, the causal mask, relative biases and dropout, over packed sequences. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { attention, gatherRows, type AttentionOptions } from '@peft/ops';
import type { ExtraKeyValues, ModelRun } from '@peft/core';

export interface AttendOptions extends Pick<AttentionOptions, 'heads' | 'keyValueHeads' | 'scale' | 'causal' | 'window' | 'softCap' | 'bias'> {
  /** Rows of the queries' sequences. */
  readonly offsets: Int32Array;
  /** Rows of the keys' sequences, in cross attention. */
  readonly keyOffsets?: Int32Array;
  /** What the attention read `[N, D]`, for adapters that look at it. */
  readonly hidden: Tensor2D;
  readonly dropoutRate?: number;
}

/**
 * @param path the attention site.
 * @param q `[N, H·E]`. @param k `[Nk, Hkv·E]`. @param v `[Nk, Hkv·E]`.
 * @returns `[N, H·E]`.
 */
export function attend(run: ModelRun, path: string, q: Tensor2D, k: Tensor2D, v: Tensor2D, options: AttendOptions): Tensor2D {
  const { offsets, hidden, dropoutRate = 0, ...rest } = options;
  let layout = { keys: k, values: v, offsets: options.keyOffsets ?? offsets };
  const beside: ExtraKeyValues[] = [];
  for (const extra of run.extraKeyValues(path, hidden, offsets)) {
    if (extra.isPast || extra.perSequence) layout = inFront(path, extra, layout, options);
    else beside.push(extra);
  }
  return attention(q, layout.keys, layout.values, {
    ...rest,
    queryOffsets: offsets,
    keyOffsets: layout.offsets,
    ...(beside.length > 0 && { extra: { keys: tf.concat(beside.map(({ keys }) => keys), 0), values: tf.concat(beside.map(({ values }) => values), 0) } }),
    ...(run.training && dropoutRate > 0 && { dropout: { rate: dropoutRate, key: run.randomKey(path, 'attention') } }),
  });
}

/** Puts P rows of extra keys and values in front of each sequence. Queries keep standing at the last keys. */
function inFront(path: string, extra: ExtraKeyValues, { keys, values, offsets }: { keys: Tensor2D; values: Tensor2D; offsets: Int32Array }, { window = 0, bias }: AttendOptions): { keys: Tensor2D; values: Tensor2D; offsets: Int32Array } {
  if (!extra.isPast && (window > 0 || bias)) {
    throw new PeftError('PEFT_ATTENTION_EXTRA', `${path}: keys that differ by sequence cannot stand beside an attention with a window or relative biases.`, { hint: 'use a prefix without gate here' });
  }
  const sequences = offsets.length - 1;
  const extraRows = extra.keys.shape[0];
  const length = extra.perSequence ? extraRows / sequences : extraRows;
  const rows = new Int32Array(offsets.at(-1)! + sequences * length);
  const extended = new Int32Array(sequences + 1);
  for (let b = 0, n = 0; b < sequences; b += 1) {
    for (let p = 0; p < length; p += 1) rows[n++] = extra.perSequence ? b * length + p : p;
    for (let row = offsets[b]!; row < offsets[b + 1]!; row += 1) rows[n++] = extraRows + row;
    extended[b + 1] = n;
  }
  const join = (front: Tensor2D, own: Tensor2D): Tensor2D => gatherRows(tf.concat([front, own], 0), rows);
  return { keys: join(extra.keys, keys), values: join(extra.values, values), offsets: extended };
}
