/**
 * Sequences of a batch that begin with the same rows, which are computed once: with n = lengths[b] > 0
 * sequence b stands behind the first n rows of its root, the nearest sequence in front of it with 0.
 * What a causal decoder makes of a row depends on the rows in front of it alone, so that it makes the
 * same of a shared one.
 */
import { PeftError } from '@peft/errors';
import type { ModelDescription } from '../description/model-description.js';
import type { RunOptions } from './run-options.js';

/** Rows that sequences stand behind. */
export interface SharedStart {
  /** `[B]` */
  readonly lengths: Int32Array;
  /** The layout that they count in `[B+1]`. */
  readonly offsets: Int32Array;
}

/**
 * What of a batch's sequences is shared.
 * @throws PEFT_BATCH_SHARED for lengths that fit no root, and where a model or run needs each
 *   sequence as a whole
 */
export function sharedStartOf(
  {
    sharedLengths: lengths,
    offsets,
    padding,
    decoder,
  }: {
    readonly sharedLengths?: Int32Array;
    readonly offsets: Int32Array;
    readonly padding?: Uint8Array;
    readonly decoder?: object;
  },
  { layers, head }: Pick<ModelDescription, 'layers' | 'head'>,
  { cache, assignment }: RunOptions,
): SharedStart | undefined {
  if (!lengths) return undefined;
  if (layers.encoder > 0 || decoder)
    throw sharedError('the model is no decoder, whose rows see those in front of them alone');
  if (head.kind !== 'causal-lm')
    throw sharedError(`a head of the kind ${head.kind} reads whole sequences`);
  if (padding || cache || assignment)
    throw sharedError('padding, a cache and a mixture of adapters need whole sequences');
  const sequences = offsets.length - 1;
  if (lengths.length !== sequences || lengths[0] !== 0)
    throw sharedError(
      `${lengths.length} lengths, the first ${lengths[0]}, were given of ${sequences} sequences, ` +
        'the first of which has nothing in front of it',
    );
  rootsOf(lengths).forEach((root, b) => {
    const rows = offsets[root + 1]! - offsets[root]!;
    if (lengths[b]! < 0 || lengths[b]! > rows)
      throw sharedError(`sequence ${b} begins with ${lengths[b]} of the ${rows} rows of its root`);
  });
  return { lengths, offsets };
}

/** @param why what needs whole sequences */
export const sharedError = (why: string): PeftError =>
  new PeftError('PEFT_BATCH_SHARED', `sequences that share their start: ${why}.`, {
    hint: 'give each sequence its own rows, without sharedLengths',
  });

/** The root of each sequence `[B]`; a root is its own. */
function rootsOf(lengths: Int32Array): Int32Array {
  let root = 0;
  return lengths.map((length, b) => (length === 0 ? (root = b) : root));
}

/** The layout of roots with all that stands behind them `[roots + 1]`. */
export const groupOffsets = ({ lengths, offsets }: SharedStart): Int32Array =>
  Int32Array.of(...offsets.slice(0, -1).filter((_, b) => lengths[b] === 0), offsets.at(-1)!);

/** With further rows in front of each root, which all that stand behind it share. */
export function behindVirtual({ lengths, offsets }: SharedStart, extra: number): SharedStart {
  let roots = 0;
  const longer = new Int32Array(offsets.length);
  lengths.forEach((length, b) => {
    if (length === 0) roots += 1;
    longer[b + 1] = offsets[b + 1]! + roots * extra;
  });
  return { lengths: lengths.map((length) => (length === 0 ? 0 : length + extra)), offsets: longer };
}

/** Rows that each sequence's attention sees, and their layout: those it stands behind, and its own. */
export function keyRows({ lengths, offsets }: SharedStart): {
  readonly rows: Int32Array;
  readonly offsets: Int32Array;
} {
  const roots = rootsOf(lengths);
  const rows: number[] = [];
  const ends = new Int32Array(offsets.length);
  lengths.forEach((length, b) => {
    const start = offsets[roots[b]!]!;
    for (let row = start; row < start + length; row += 1) rows.push(row);
    for (let row = offsets[b]!; row < offsets[b + 1]!; row += 1) rows.push(row);
    ends[b + 1] = rows.length;
  });
  return { rows: Int32Array.from(rows), offsets: ends };
}
