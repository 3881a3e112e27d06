/**
 * Words with a tag each, for token classification: a word's tag is its first token's label, or its
 * last one's; its other tokens have none.
 */
import { check, didYouMean, PeftError, show } from '@peft/errors';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import { eachRow } from './each-row.js';
import { specialAround } from './special-around.js';
import {
  ends,
  joined,
  NO_LABEL,
  tokenData,
  type TokenBatch,
  type TokenData,
} from './token-data.js';

/** The words of one sentence, with their tags. */
export interface TaggedWords {
  readonly words: readonly string[];
  /** A tag per word; missing where there is nothing to learn from. */
  readonly tags?: readonly string[];
}

/** How `wordData` cuts sentences and numbers tags. */
export interface WordOptions {
  /** Tokens at most, special ones counted. */
  readonly maxLength: number;
  /** Class i is tags[i]; see `tagsOf`. */
  readonly tags: readonly string[];
  /**
   * Which token a word is told from. `last` is for decoders, whose tokens have not seen the rest of
   * the word. Default `first`.
   */
  readonly from?: 'first' | 'last';
  readonly signal?: AbortSignal;
}

/** A packed batch that knows from which tokens words are told. */
export interface WordBatch extends TokenBatch {
  /** Token that each word is told from, −1 for a word that was cut off or has no token. */
  readonly words: Int32Array; // [W]
  /** Words of sequence b are wordOffsets[b] … wordOffsets[b+1]. */
  readonly wordOffsets: Int32Array; // [B+1]
}

/** The tags that occur, `O` first, the others in order. */
export function tagsOf(rows: readonly TaggedWords[]): string[] {
  const tags = [...new Set(rows.flatMap(({ tags: own = [] }) => own))].sort();
  return [...tags.filter((tag) => tag === 'O'), ...tags.filter((tag) => tag !== 'O')];
}

/**
 * Each word is tokenised on its own, as `is_split_into_words` of transformers does, with the
 * special tokens around all of them.
 * @throws PEFT_TAGS_INVALID for tags that are unknown or not as many as words
 */
export async function wordData(
  rows: readonly TaggedWords[],
  tokenizer: TextTokenizer,
  { maxLength, tags, from = 'first', signal }: WordOptions,
): Promise<TokenData<WordBatch>> {
  const { before, after } = specialAround(tokenizer);
  check.positiveInteger(
    'data',
    'maxLength less the special tokens',
    maxLength - before.length - after.length,
  );
  const space = needsSpace(tokenizer) ? ' ' : '';
  const classes = new Map(tags.map((tag, i) => [tag, i]));
  const sentences = await eachRow(
    rows,
    (sentence, row) => {
      const ids: number[] = [];
      const labels: number[] = [];
      const places: number[] = [];
      const wanted = classIds(sentence, row, classes);
      const room = maxLength - before.length - after.length;
      let isCut = false;
      sentence.words.forEach((word, w) => {
        const whole = tokenizer.ids(space + word);
        const own = whole.slice(0, room - ids.length);
        isCut ||= own.length < whole.length;
        const told = from === 'first' ? 0 : own.length - 1;
        places.push(own.length === 0 ? -1 : before.length + ids.length + told);
        ids.push(...own);
        labels.push(...own.map((_, i) => (i === told ? (wanted?.[w] ?? NO_LABEL) : NO_LABEL)));
      });
      const none = (some: readonly number[]): number[] => some.map(() => NO_LABEL);
      return {
        inputIds: [...before, ...ids, ...after],
        labels: [...none(before), ...labels, ...none(after)],
        places,
        isCut,
      };
    },
    signal,
  );
  const skipped = [...sentences.keys()].filter((row) =>
    sentences[row]!.places.every((place) => place < 0),
  );
  const isSkipped = new Set(skipped);
  const kept = sentences.filter((_, row) => !isSkipped.has(row));
  const base = tokenData(
    kept.map((sentence) => [sentence]),
    { skipped, cut: [...sentences.keys()].filter((row) => sentences[row]!.isCut) },
  );
  return Object.freeze<TokenData<WordBatch>>({
    ...base,
    pack(chosen) {
      const batch = base.pack(chosen);
      const own = Array.from(chosen, (row, b) =>
        kept[row]!.places.map((place) => (place < 0 ? -1 : batch.offsets[b]! + place)),
      );
      return { ...batch, words: joined(own), wordOffsets: ends(own.map(({ length }) => length)) };
    },
  });
}

/**
 * Whether a tokenizer writes a word within a text otherwise than at its start: byte-level ones,
 * where the space is part of the word.
 */
function needsSpace(tokenizer: Pick<TextTokenizer, 'ids'>): boolean {
  const [alone, twice] = [tokenizer.ids('a'), tokenizer.ids('a a')];
  return alone.some((id, i) => twice[twice.length - alone.length + i] !== id);
}

function classIds(
  { words, tags }: TaggedWords,
  row: number,
  classes: ReadonlyMap<string, number>,
): number[] | undefined {
  if (!tags) return undefined;
  if (tags.length !== words.length)
    throw new PeftError(
      'PEFT_TAGS_INVALID',
      `data: row ${row} has ${words.length} words and ${tags.length} tags.`,
      { hint: 'give each word one tag' },
    );
  return tags.map((tag) => {
    const id = classes.get(tag);
    if (id === undefined)
      throw new PeftError(
        'PEFT_TAGS_INVALID',
        `data: row ${row} has the tag ${show(tag)}, which is not among ${[...classes.keys()].join(', ')}.`,
        { hint: didYouMean(tag, classes.keys()) },
      );
    return id;
  });
}
