/** The special tokens that a tokenizer puts around one text. */
import { PeftError } from '@peft/errors';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';

/** Ids before and after the tokens of a text. */
export interface SpecialAround {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Found by encoding a letter with and without them. */
export function specialAround(tokenizer: Pick<TextTokenizer, 'ids' | 'encode'>): SpecialAround {
  const bare = tokenizer.ids('a');
  const { ids } = tokenizer.encode('a');
  const start = ids.findIndex(
    (_, i) => bare.length > 0 && bare.every((id, k) => ids[i + k] === id),
  );
  return start < 0
    ? { before: [], after: [] }
    : { before: ids.slice(0, start), after: ids.slice(start + bare.length) };
}

/** A text's ids with its special tokens, each once. */
export interface MarkedText {
  readonly ids: readonly number[];
  /** The text itself brought some of them. */
  readonly isMarked: boolean;
  /** Tokens beyond the longest length were left out. */
  readonly isCut: boolean;
}

/**
 * The ids of a text between `before` and `after`, without those of them that the text brings along:
 * what a chat template rendered has its begin and end tokens already.
 *
 * @param own ids of the text alone.
 * @param maxLength tokens at most, `before` and `after` counted; the text loses its end.
 */
export function markOnce(
  own: readonly number[],
  { before, after }: SpecialAround,
  maxLength = Number.POSITIVE_INFINITY,
): MarkedText {
  const start = before.length > 0 && before.every((id, i) => own[i] === id) ? before.length : 0;
  const rest = own.slice(start);
  const end =
    after.length > 0 &&
    rest.length >= after.length &&
    after.every((id, i) => rest[rest.length - after.length + i] === id)
      ? after.length
      : 0;
  const inner = rest.slice(0, rest.length - end);
  const room = Math.max(0, maxLength - before.length - after.length);
  return {
    ids: [...before, ...inner.slice(0, room), ...after],
    isMarked: start + end > 0,
    isCut: inner.length > room,
  };
}

/** As `encode`, with special tokens that the text brings along not added again. */
export function encodeOnce(
  tokenizer: Pick<TextTokenizer, 'ids' | 'encode'>,
  text: string,
  around: SpecialAround,
  maxLength: number,
): MarkedText {
  const own = tokenizer.ids(text);
  const marked = markOnce(own, around, maxLength);
  if (marked.isMarked) return marked;
  return {
    ids: tokenizer.encode(text, { maxLength }).ids,
    isMarked: false,
    isCut: marked.isCut,
  };
}

/** The token that ends a text. @throws PEFT_TOKENIZER_SPECIAL_MISSING */
export function endTokenOf({
  specialIds: { eos, sep },
}: Pick<TextTokenizer, 'specialIds'>): number {
  const end = eos ?? sep;
  if (end === undefined)
    throw new PeftError(
      'PEFT_TOKENIZER_SPECIAL_MISSING',
      'data: the tokenizer has no end-of-sequence token, so a model could not learn where a text ends.',
      { hint: 'name one in tokenizer_config.json ("eos_token"), or give the option endId' },
    );
  return end;
}
