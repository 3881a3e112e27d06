/**
 * The batch that a forward pass is recorded with: B sequences of T tokens, B and T primes that
 * divide no size of the model, so that an axis that depends on them shows. Which rows the pass
 * reads shows in the values of its index arrays.
 */
import { isDecoder, type ModelBatch, type ModelDescription } from '@peft/core';
import { cannotRecord } from './cannot-record.js';

/** What an index array picks. */
export type Rows =
  | { readonly kind: 'tokens' | 'token-types' | 'zeros' }
  /** Number of the token in its text, plus `shift`. */
  | { readonly kind: 'positions'; readonly shift: number }
  /** The same, where padding ids stand at `shift` and do not count. */
  | { readonly kind: 'counted'; readonly shift: number }
  /** Rows that depend on no text. */
  | { readonly kind: 'constant'; readonly values: Int32Array }
  /** Of each text: its first token, its last, its last that is not the padding id. */
  | { readonly kind: 'first' | 'last' | 'last-unpadded' }
  /** Of each text those whose logits are asked for. */
  | { readonly kind: 'kept' };

export interface TraceBatch {
  readonly batch: ModelBatch;
  readonly sequences: number; // B
  readonly length: number; // T
  /** Rows whose logits are made. */
  readonly keptRows: Int32Array;
  /** Rows of what the encoder made, where a decoder is recorded on its own. */
  readonly memoryOffsets: Int32Array;
  readonly paddingId: number | undefined;
  /** Positions that the graph will have tables for. */
  readonly positionLimit: number;
  /** Whether a size depends on B or T. */
  isOpen(size: number): boolean;
  /** @throws PEFT_EXPORT_UNSUPPORTED for rows that it does not know */
  rowsOf(index: Int32Array): Rows;
}

export interface TraceBatchOptions {
  readonly paddingId: number | undefined;
  /** Positions that the model can tell apart. */
  readonly positionLimit: number;
}

/** The batch for a model. */
export function traceBatch(
  description: ModelDescription,
  { paddingId, positionLimit }: TraceBatchOptions,
): TraceBatch {
  const sizes = [
    ...description.parameters.flatMap(({ shape }) => shape),
    // a block's state and what its router made leave the block side by side
    ...description.sites.flatMap((site) =>
      site.kind === 'linear' && site.role === 'router' ? [site.inFeatures + site.outFeatures] : [],
    ),
  ];
  // an encoder's tables of distances have to reach as far as its longest text
  const length = freePrime(sizes, isDecoder(description) ? 7 : positionLimit);
  const sequences = freePrime(sizes, 3, length);
  const memoryLength = freePrime(sizes, length + 1);
  const rows = sequences * length;
  const inputIds = idsOf(description.vocabularySize, rows, length, paddingId);
  const hasRole = (role: string) => description.sites.some((site) => site.role === role);
  // A table of angles or slopes has to reach the last position; learned ones are there anyway.
  const isShifted = isDecoder(description) && !hasRole('embedding.position');
  const shift = isShifted ? Math.max(positionLimit - length, 0) : 0;
  const positionIds = Int32Array.from({ length: rows }, (_, n) => (n % length) + shift);
  const tokenTypeIds = Int32Array.from({ length: rows }, (_, n) => (n * 7 + 1) % 2);
  const offsetsOf = (each: number) =>
    Int32Array.from({ length: sequences + 1 }, (_, b) => b * each);
  const offsets = offsetsOf(length);
  const batch: ModelBatch = {
    inputIds,
    offsets,
    decoder: description.head.kind === 'seq2seq-lm' ? { inputIds, offsets } : undefined,
    tokenTypeIds: hasTokenTypes(description) ? tokenTypeIds : undefined,
    positionIds: isShifted ? positionIds : undefined,
  };
  const keptRows = Int32Array.from({ length: rows }, (_, n) => n);
  const counted = countedPositions(inputIds, length, paddingId);
  const unpadded = lastUnpadded(inputIds, sequences, length, paddingId);
  return {
    batch,
    sequences,
    length,
    keptRows,
    memoryOffsets: offsetsOf(memoryLength),
    paddingId,
    positionLimit,
    isOpen: (size) =>
      size > 0 && [sequences, length, memoryLength].some((prime) => size % prime === 0),
    rowsOf(index) {
      if (index === inputIds) return { kind: 'tokens' };
      if (index === tokenTypeIds) return { kind: 'token-types' };
      if (index === keptRows) return { kind: 'kept' };
      if (index.length === rows) {
        if (index.every((row) => row === 0)) return { kind: 'zeros' };
        const [first] = index;
        const isAt = (expected: Int32Array) =>
          index.every((row, n) => row - expected[n]! === first! - expected[0]!);
        if (isAt(positionIds)) return { kind: 'positions', shift: first! - positionIds[0]! };
        if (isAt(counted)) return { kind: 'counted', shift: first! - counted[0]! };
        throw cannotRecord('it reads rows of a table that follow neither the ids nor their places');
      }
      if (index.length === sequences) {
        const isAt = (place: number) => index.every((row, b) => row === b * length + place);
        if (isAt(0)) return { kind: 'first' };
        if (isAt(length - 1)) return { kind: 'last' };
        if (index.every((row, b) => row === unpadded[b])) return { kind: 'last-unpadded' };
      }
      if (index.length % length === 0 || index.length % sequences === 0)
        throw cannotRecord('it picks rows of the batch in a way that is not known');
      return { kind: 'constant', values: index };
    },
  };
}

const hasTokenTypes = ({ sites }: ModelDescription): boolean =>
  sites.some(
    (site) => site.kind === 'embedding' && site.role === 'embedding.token-type' && site.rows > 1,
  );

/** The smallest prime from `least` on that divides none of the sizes. */
function freePrime(sizes: readonly number[], least: number, other = 0): number {
  for (let candidate = least; ; candidate += 1)
    if (isPrime(candidate) && candidate !== other && sizes.every((size) => size % candidate !== 0))
      return candidate;
}

function isPrime(candidate: number): boolean {
  for (let divisor = 2; divisor * divisor <= candidate; divisor += 1)
    if (candidate % divisor === 0) return false;
  return candidate > 1;
}

/**
 * Ids with two of padding: inside the second text, where positions that count ids show, and at the
 * end of the third, where heads that read the last token show.
 */
function idsOf(
  vocabularySize: number,
  rows: number,
  length: number,
  paddingId: number | undefined,
): Int32Array {
  const ids = Int32Array.from({ length: rows }, (_, n) => {
    const id = (n * 31 + 5) % vocabularySize;
    return id === paddingId ? (id + 1) % vocabularySize : id;
  });
  if (paddingId !== undefined) for (const row of [length + 2, 3 * length - 1]) ids[row] = paddingId;
  return ids;
}

/** Number among the tokens of its text that are not padding, from 1; 0 for padding. */
function countedPositions(
  ids: Int32Array,
  length: number,
  paddingId: number | undefined,
): Int32Array {
  let count = 0;
  return ids.map((id, n) => {
    if (n % length === 0) count = 0;
    if (id === paddingId) return 0;
    count += 1;
    return count;
  });
}

const lastUnpadded = (
  ids: Int32Array,
  sequences: number,
  length: number,
  paddingId: number | undefined,
): Int32Array =>
  Int32Array.from({ length: sequences }, (_, b) => {
    const end = (b + 1) * length - 1;
    return ids[end] === paddingId ? end - 1 : end;
  });
