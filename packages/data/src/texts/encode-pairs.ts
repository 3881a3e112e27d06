/**
 * Pairs of texts as one input of a cross-encoder, joined by the tokeniser's own template
 * (`[CLS] a [SEP] b [SEP]`, `<s> a </s></s> b </s>` …) and cut to a length, the longer text first
 * (transformers' `longest_first`).
 */
import { PeftError } from '@peft/errors';
import { packBatch } from '../batches/packed-batch.js';
import { eachRow } from '../sequences/each-row.js';
import type { TokenSequence } from '../tokenizer/components/post-processors.js';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import type { TokenizedTable } from './tokenize-table.js';

/** How pairs are cut, and whether the model tells their texts apart. */
export interface EncodePairsOptions {
  /** Longest input in tokens, special ones counted. */
  readonly maxLength: number;
  /** Number of segments that the model knows, its `type_vocab_size`; with 2 pairs have types. */
  readonly segments?: number;
  /** Stops between pairs. */
  readonly signal?: AbortSignal;
}

/** Two texts, which are read in this order. */
export type TextPair = readonly [first: string, second: string];

/** Pairs as tokens. */
export interface EncodedPairs {
  readonly pairs: readonly TokenSequence[];
  /** Pairs that lost tokens beyond the longest length. */
  readonly cut: readonly number[];
  /** Pairs without a token of their own. */
  readonly empty: readonly number[];
  /** Whether batches have `tokenTypeIds`. */
  readonly hasTypes: boolean;
}

/**
 * Encodes pairs in their order. Yields to the event loop every 256 pairs.
 * @throws PEFT_CONFIG_INVALID where the special tokens leave no room; the signal's reason
 */
export async function encodePairs(
  texts: readonly TextPair[],
  tokenizer: TextTokenizer,
  { maxLength, segments = 1, signal }: EncodePairsOptions,
): Promise<EncodedPairs> {
  const overhead = tokenizer.encode('', { pair: '' }).ids.length;
  if (maxLength <= overhead)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `data: maxLength ${maxLength} leaves no room beside the ${overhead} special tokens of a pair.`,
    );
  const cut: number[] = [];
  const empty: number[] = [];
  const pairs = await eachRow(
    texts,
    ([first, pair], row) => {
      const encoded = tokenizer.encode(first, { pair, maxLength });
      const { length } = encoded.ids;
      if (length === maxLength && tokenizer.encode(first, { pair }).ids.length > maxLength)
        cut.push(row);
      if (length === overhead) empty.push(row);
      return encoded;
    },
    signal,
  );
  return { pairs, cut, empty, hasTypes: segments > 1 };
}

/** Encoded pairs as the rows of a table. */
export function pairTable({ pairs, cut, empty, hasTypes }: EncodedPairs): TokenizedTable {
  return {
    rows: pairs.length,
    lengths: Int32Array.from(pairs, ({ ids }) => ids.length),
    cut,
    empty,
    batch: (rows, labels) =>
      packBatch(
        Array.from(rows, (row) => ({
          inputIds: pairs[row]!.ids,
          tokenTypeIds: hasTypes ? pairs[row]!.typeIds : undefined,
          row,
          label: labels?.[row],
        })),
        labels instanceof Float32Array ? 'float32' : 'int32',
      ),
  };
}
