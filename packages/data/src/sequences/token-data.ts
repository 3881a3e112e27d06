/** Rows of labelled tokens, ready to be packed: what language models train on. */
import { PeftError } from '@peft/errors';

/** A label that does not count. */
export const NO_LABEL = -100;

/** A sequence with a label for each token: its own id or a class, or −100. */
export interface LabelledTokens {
  readonly inputIds: ArrayLike<number>; // [T]
  readonly labels: ArrayLike<number>; // [T]
  /** The task that it is of, for adapters that learn several. */
  readonly taskId?: number | undefined;
}

/** Sequences of some rows, one after another without padding. A row may hold several. */
export interface TokenBatch {
  readonly inputIds: Int32Array; // [N]
  /** Sequence b is tokens offsets[b] … offsets[b+1]. */
  readonly offsets: Int32Array; // [B+1]
  /** Label of each token. */
  readonly tokenLabels: Int32Array; // [N]
  /** The task of each sequence, for adapters that learn several. */
  readonly taskIds?: Int32Array; // [B]
  /** Which row of the data each example is. */
  readonly rows: Int32Array; // [R]
  /** Example r is sequences exampleOffsets[r] … exampleOffsets[r+1]. */
  readonly exampleOffsets: Int32Array; // [R+1]
}

/** Rows with their lengths: the `data` of a training run. */
export interface TokenData<B = TokenBatch> {
  /** Tokens of each row. */
  readonly lengths: Int32Array;
  /** Rows of the source that are left out, since nothing of them would be trained. */
  readonly skipped: readonly number[];
  /** Rows of the source that lost tokens beyond the longest length, those of `skipped` included. */
  readonly cut: readonly number[];
  /** Rows whose text brought begin or end tokens along, which were not added again. */
  readonly marked: readonly number[];
  /** Rows with an answer of white space alone: that nothing is said is what they teach. */
  readonly blank?: readonly number[];
  pack(rows: ArrayLike<number>): B;
}

/** What became of the rows of the source; see `TokenData`. */
export interface SourceRows {
  readonly skipped?: readonly number[];
  readonly cut?: readonly number[];
  readonly marked?: readonly number[];
  readonly blank?: readonly number[];
}

/**
 * Rows of labelled tokens as the data of a training run.
 * @param rows the sequences of each row.
 */
export function tokenData(
  rows: readonly (readonly LabelledTokens[])[],
  { skipped = [], cut = [], marked = [], blank = [] }: SourceRows = {},
): TokenData {
  return Object.freeze<TokenData>({
    lengths: Int32Array.from(rows, (sequences) =>
      sequences.reduce((sum, { inputIds }) => sum + inputIds.length, 0),
    ),
    skipped,
    cut,
    marked,
    blank,
    pack: (chosen) =>
      packTokens(
        Array.from(chosen, (row) => rows[row]!),
        Int32Array.from(chosen),
      ),
  });
}

/**
 * @throws PEFT_BATCH_INVALID for an empty batch, an empty sequence, labels of another number than
 *   tokens, or sequences of which some have a task
 */
function packTokens(
  examples: readonly (readonly LabelledTokens[])[],
  rows: Int32Array,
): TokenBatch {
  const fail = (what: string) => new PeftError('PEFT_BATCH_INVALID', `data: ${what}`);
  const sequences = examples.flat();
  if (sequences.length === 0) throw fail('a batch needs at least one example.');
  const bad = sequences.find(
    ({ inputIds, labels }) => inputIds.length === 0 || labels.length !== inputIds.length,
  );
  if (bad)
    throw fail(`a sequence has ${bad.inputIds.length} tokens and ${bad.labels.length} labels.`);
  const taskIds = sequences.flatMap(({ taskId }) => taskId ?? []);
  if (taskIds.length > 0 && taskIds.length !== sequences.length)
    throw fail(`${taskIds.length} of ${sequences.length} sequences have a task.`);
  return {
    inputIds: joined(sequences.map(({ inputIds }) => inputIds)),
    offsets: ends(sequences.map(({ inputIds }) => inputIds.length)),
    tokenLabels: joined(sequences.map(({ labels }) => labels)),
    ...(taskIds.length > 0 && { taskIds: Int32Array.from(taskIds) }),
    rows,
    exampleOffsets: ends(examples.map(({ length }) => length)),
  };
}

/** Arrays one after another. */
export function joined(parts: readonly ArrayLike<number>[]): Int32Array {
  const result = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** `[0, l₀, l₀ + l₁, …]` */
export function ends(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1);
  lengths.forEach((length, i) => (offsets[i + 1] = offsets[i]! + length));
  return offsets;
}
