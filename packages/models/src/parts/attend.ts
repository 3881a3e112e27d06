/**
 * Attention at a site: what adapters extend it by, cached keys, the causal mask, relative biases
 * and dropout, over packed sequences.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { attention, gatherRows, spacedRows, type AttentionOptions } from '@peft/ops';
import type { ExtraKeyValues, KeyValues, ModelRun } from '@peft/core';

export interface AttendOptions extends Pick<
  AttentionOptions,
  'heads' | 'keyValueHeads' | 'scale' | 'causal' | 'window' | 'softCap' | 'bias' | 'sinks'
> {
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
export const attend = (
  run: ModelRun,
  path: string,
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  options: AttendOptions,
): Tensor2D => run.attended(path, q, attendOver(run, path, q, k, v, options));

function attendOver(
  run: ModelRun,
  path: string,
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  options: AttendOptions,
): Tensor2D {
  const { offsets, hidden, dropoutRate = 0, ...rest } = options;
  const seen = options.causal && !options.keyOffsets ? run.layouts.attended(offsets) : undefined;
  if (seen) return causalWithPadding(run, path, q, k, v, options, seen);
  let layout = attendedKeys(run, path, k, v, options);
  const beside: ExtraKeyValues[] = [];
  const extras = run.extraKeyValues(path, hidden, offsets);
  if (extras.some(({ perSequence, isPast }) => perSequence && !isPast) && (options.window ?? 0) > 0)
    return sequenceWise(run, path, q, k, v, options, extras);
  if (!run.past.holds(path))
    // else they are in the cache
    for (const extra of extras) if (extra.isPast) layout = inFront(extra, layout);
  if (!options.keyOffsets) layout = run.past.extend(path, layout);
  let shift = 0;
  for (const extra of extras) {
    if (extra.isPast) continue;
    if (!extra.perSequence && !options.bias) {
      beside.push(extra);
      continue;
    }
    const extended = inFront(extra, packed(layout));
    // As in adapter-hub, relative positions count keys beside the sequence in front of its own
    // keys, and not in front of its queries.
    shift += extended.offsets[1]! - layout.offsets[1]!;
    layout = extended;
  }
  return attention(q, layout.keys, layout.values, {
    ...rest,
    queryOffsets: offsets,
    keyOffsets: layout.offsets,
    keyStarts: layout.starts,
    bias: options.bias && { ...options.bias, origin: options.bias.origin + shift },
    extra: joined(beside),
    dropout: dropoutOf(run, path, dropoutRate),
  });
}

/** Sequences one after another, whatever room they have in a cache. */
function packed({ keys, values, offsets, starts }: KeyValues): KeyValues {
  if (!starts) return { keys, values, offsets };
  const rows = spacedRows(offsets, starts);
  return { keys: gatherRows(keys, rows), values: gatherRows(values, rows), offsets };
}

/** Dropout of the probabilities, live in training only; `parts` name its stream. */
const dropoutOf = (
  run: ModelRun,
  path: string,
  rate: number,
  ...parts: readonly (number | string)[]
): AttentionOptions['dropout'] =>
  run.training && rate > 0 ? { rate, key: run.randomKey(path, 'attention', ...parts) } : undefined;

/** Extra keys and values, those of each adapter behind those of the last. */
const joined = (extras: readonly ExtraKeyValues[]): AttentionOptions['extra'] =>
  extras.length === 0
    ? undefined
    : {
        keys: tf.concat(
          extras.map(({ keys }) => keys),
          0,
        ),
        values: tf.concat(
          extras.map(({ values }) => values),
          0,
        ),
      };

/** Keys and values that the sequences see: without those of padding, with those that they share. */
function attendedKeys(
  run: ModelRun,
  path: string,
  keys: Tensor2D,
  values: Tensor2D,
  { offsets, keyOffsets, causal = false, window = 0, bias }: AttendOptions,
): KeyValues {
  const shared = causal && !keyOffsets ? run.layouts.sharedKeys(offsets) : undefined;
  if (shared)
    return {
      keys: gatherRows(keys, shared.rows),
      values: gatherRows(values, shared.rows),
      offsets: shared.offsets,
    };
  run.layouts.refuseSharedStart(path);
  const seen = run.layouts.attended(keyOffsets ?? offsets);
  if (!seen) return { keys, values, offsets: keyOffsets ?? offsets };
  if (causal || window > 0 || bias)
    throw new PeftError(
      'PEFT_BATCH_PADDING',
      `${path}: padding rows do not go with an attention that counts positions.`,
      { hint: 'leave the padding out' },
    );
  return {
    keys: gatherRows(keys, seen.rows),
    values: gatherRows(values, seen.rows),
    offsets: seen.offsets,
  };
}

/**
 * Tokens as if there was no padding; each row of padding sees the tokens in front of it, in the
 * window, and neither itself nor others.
 * @param seen rows that are tokens, and their layout.
 */
function causalWithPadding(
  run: ModelRun,
  path: string,
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  options: AttendOptions,
  seen: { readonly rows: Int32Array; readonly offsets: Int32Array },
): Tensor2D {
  const { offsets, hidden, dropoutRate = 0, window = 0, bias, ...rest } = options;
  const refuse = (why: string): never => {
    throw new PeftError('PEFT_BATCH_PADDING', `${path}: ${why}.`, {
      hint: 'leave the padding out',
    });
  };
  if (bias) refuse('padding rows do not go with an attention that counts positions');
  if (run.extraKeyValues(path, hidden, offsets).length > 0)
    refuse('padding rows do not go with keys in front of a sequence or beside it');
  if (run.past.cacheOf('decoder')) refuse('padding rows do not go with a cache');
  const [paddingRows, keyRows, keyOffsets]: [number[], number[], number[]] = [[], [], [0]];
  for (let b = 0; b + 1 < offsets.length; b += 1) {
    const tokens = seen.rows.subarray(seen.offsets[b], seen.offsets[b + 1]);
    for (let row = offsets[b]!; row < offsets[b + 1]!; row += 1) {
      if (tokens.includes(row)) continue;
      const visible = tokens.filter(
        (token) => token < row && (window === 0 || token > row - window),
      );
      if (visible.length === 0)
        refuse(`no token is in front of the padding in row ${row}, or in its window`);
      paddingRows.push(row);
      keyRows.push(...visible);
      keyOffsets.push(keyRows.length);
    }
  }
  const attendRows = (
    queries: Int32Array,
    queryOffsets: Int32Array,
    keys: Int32Array,
    offsetsOfKeys: Int32Array,
    causal: boolean,
  ): Tensor2D =>
    attention(gatherRows(q, queries), gatherRows(k, keys), gatherRows(v, keys), {
      ...rest,
      queryOffsets,
      keyOffsets: offsetsOfKeys,
      causal,
      window: causal ? window : 0,
      dropout: dropoutOf(run, path, dropoutRate, causal ? 'tokens' : 'padding'),
    });
  const tokens = attendRows(seen.rows, seen.offsets, seen.rows, seen.offsets, true);
  if (paddingRows.length === 0) return tokens;
  const padding = attendRows(
    Int32Array.from(paddingRows),
    Int32Array.from(keyOffsets.keys()),
    Int32Array.from(keyRows),
    Int32Array.from(keyOffsets),
    false,
  );
  const places = new Int32Array(q.shape[0]);
  [...seen.rows, ...paddingRows].forEach((row, place) => (places[row] = place));
  return gatherRows(tf.concat([tokens, padding], 0), places);
}

/** Extra keys that differ by sequence beside an attention with a window: one sequence at a time. */
function sequenceWise(
  run: ModelRun,
  path: string,
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  options: AttendOptions,
  extras: readonly ExtraKeyValues[],
): Tensor2D {
  const { offsets, keyOffsets = offsets, hidden: _, dropoutRate = 0, ...rest } = options;
  if (extras.some(({ isPast }) => isPast))
    throw new PeftError(
      'PEFT_ATTENTION_EXTRA',
      `${path}: keys that differ by sequence and keys that stand for earlier tokens cannot ` +
        'be in one attention with a window.',
      { hint: 'use one of the two prefixes' },
    );
  const rows = (x: Tensor2D, start: number, end: number): Tensor2D =>
    tf.slice(x, [start, 0], [end - start, -1]);
  const of = (which: 'keys' | 'values', b: number): Tensor2D =>
    tf.concat(
      extras.map((extra) => {
        const length = extra.perSequence
          ? extra[which].shape[0] / (offsets.length - 1)
          : extra[which].shape[0];
        return extra.perSequence ? rows(extra[which], b * length, (b + 1) * length) : extra[which];
      }),
      0,
    );
  return tf.concat(
    Array.from(offsets.slice(0, -1), (start, b) => {
      const [end, keyStart, keyEnd] = [offsets[b + 1]!, keyOffsets[b]!, keyOffsets[b + 1]!];
      return attention(rows(q, start, end), rows(k, keyStart, keyEnd), rows(v, keyStart, keyEnd), {
        ...rest,
        queryOffsets: Int32Array.of(0, end - start),
        keyOffsets: Int32Array.of(0, keyEnd - keyStart),
        extra: { keys: of('keys', b), values: of('values', b) },
        dropout: dropoutOf(run, path, dropoutRate, b),
      });
    }),
    0,
  );
}

/**
 * Puts P rows of extra keys and values in front of each sequence. Queries keep standing at the last
 * keys.
 */
function inFront(extra: ExtraKeyValues, { keys, values, offsets }: KeyValues): KeyValues {
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
  const join = (front: Tensor2D, own: Tensor2D): Tensor2D =>
    gatherRows(tf.concat([front, own], 0), rows);
  return { keys: join(extra.keys, keys), values: join(extra.values, values), offsets: extended };
}
