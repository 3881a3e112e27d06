/**
 * Pairs of texts for an encoder-decoder: the encoder reads the source, the decoder learns to write
 * the target.
 */
import { check } from '@peft/errors';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import { eachRow } from './each-row.js';
import { encodeOnce, specialAround } from './special-around.js';
import { ends, joined, type TokenData } from './token-data.js';

/** What the encoder reads and what the decoder should write. */
export interface TextPairRow {
  readonly source: string;
  /** Missing where there is nothing to learn from. */
  readonly target?: string;
}

/** How `pairData` cuts both texts, lengths in tokens with the special ones counted. */
export interface PairOptions {
  readonly maxSourceLength: number;
  readonly maxTargetLength: number;
  /** What the decoder starts with: the config's `decoder_start_token_id`. */
  readonly startId: number;
  readonly signal?: AbortSignal;
}

/** A batch of pairs. The decoder reads the target shifted right behind the start token. */
export interface PairBatch {
  readonly inputIds: Int32Array; // [N]
  readonly offsets: Int32Array; // [B+1]
  readonly decoder: { readonly inputIds: Int32Array; readonly offsets: Int32Array }; // [M], [B+1]
  /** What each token of the decoder has to be followed by. */
  readonly tokenLabels: Int32Array; // [M]
  readonly rows: Int32Array; // [B]
}

/**
 * Both texts with the special tokens of the tokenizer, cut at their end, which keeps these.
 * @throws PEFT_CONFIG_INVALID
 */
export async function pairData(
  rows: readonly TextPairRow[],
  tokenizer: TextTokenizer,
  { maxSourceLength, maxTargetLength, startId, signal }: PairOptions,
): Promise<TokenData<PairBatch>> {
  check.nonNegativeInteger('data', 'startId', startId);
  const around = specialAround(tokenizer);
  const pairs = await eachRow(
    rows,
    ({ source, target = '' }) => {
      const [read, wanted] = [
        encodeOnce(tokenizer, source, around, maxSourceLength),
        encodeOnce(tokenizer, target, around, maxTargetLength),
      ];
      return {
        source: read.ids,
        target: wanted.ids,
        isCut: read.isCut || wanted.isCut,
        isMarked: read.isMarked || wanted.isMarked,
        isBlank: target.trim() === '',
      };
    },
    signal,
  );
  const rowsThat = (is: (pair: (typeof pairs)[number]) => boolean): number[] =>
    [...pairs.keys()].filter((row) => is(pairs[row]!));
  const skipped = rowsThat(({ source, target }) => source.length === 0 || target.length === 0);
  const isSkipped = new Set(skipped);
  const kept = pairs.filter((_, row) => !isSkipped.has(row));
  return Object.freeze<TokenData<PairBatch>>({
    lengths: Int32Array.from(kept, ({ source, target }) => source.length + target.length),
    skipped,
    cut: rowsThat(({ isCut }) => isCut),
    marked: rowsThat(({ isMarked }) => isMarked),
    blank: rowsThat(({ isBlank }) => isBlank),
    pack(chosen) {
      const batch = Array.from(chosen, (row) => kept[row]!);
      const shifted = batch.map(({ target }) => [startId, ...target.slice(0, -1)]);
      return {
        inputIds: joined(batch.map(({ source }) => source)),
        offsets: ends(batch.map(({ source }) => source.length)),
        decoder: { inputIds: joined(shifted), offsets: ends(shifted.map(({ length }) => length)) },
        tokenLabels: joined(batch.map(({ target }) => target)),
        rows: Int32Array.from(chosen),
      };
    },
  });
}
