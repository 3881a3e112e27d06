/**
 * Joins the token sequences of several text columns into one input, as AutoGluon does:
 *
 *   [CLS] f₁ [SEP] f₂ [SEP] …      tokenisers with CLS and SEP (or BOS and EOS)
 *   f₁ </s> f₂ </s> …              tokenisers with an end token only, such as T5's
 */
import { check, PeftError } from '@peft/errors';
import type { TokenSequence } from '../tokenizer/components/post-processors.js';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import { trimLengths } from './trim-lengths.js';

/** How `joinTexts` cuts and separates the texts of a row. */
export interface JoinOptions {
  /** Longest input in tokens, special ones counted. */
  readonly maxLength: number;
  /** A separator after every text instead of only the last. Default true. */
  readonly separateTexts?: boolean;
  /**
   * Segment ids go round 0 … segments − 1, one per text: the model's `type_vocab_size`, at most 2.
   * Default 1, all 0.
   */
  readonly segments?: number;
}

/** Ids of the special tokens that join texts. */
export interface JoinTokens {
  /** In front of the input, none for tokenisers with an end token only. */
  readonly start: number | undefined;
  readonly separator: number;
  /** Stands at the very end. */
  readonly end: number;
}

/**
 * The tokens that join texts: CLS and SEP; else BOS and EOS; else EOS alone.
 * @throws PEFT_TOKENIZER_SPECIAL_MISSING if it has no end of any kind.
 */
export function joinTokens({
  specialIds: { cls, sep, bos, eos },
}: Pick<TextTokenizer, 'specialIds'>): JoinTokens {
  if (cls !== undefined && sep !== undefined) return { start: cls, separator: sep, end: sep };
  if (eos === undefined) {
    throw new PeftError(
      'PEFT_TOKENIZER_SPECIAL_MISSING',
      'data: the tokenizer has neither CLS and SEP nor an end-of-sequence token.',
      {
        hint: 'Name them in tokenizer_config.json ("cls_token" and "sep_token", or "eos_token").',
      },
    );
  }
  return bos === undefined || bos === eos
    ? { start: undefined, separator: eos, end: eos }
    : { start: bos, separator: bos, end: eos };
}

/**
 * Joins one row's texts with their special tokens, cut to `maxLength` by `trimLengths`.
 * @param texts token ids of each text, without special tokens.
 * @returns ids and segments `[T]`, T ≤ maxLength.
 * @throws PEFT_CONFIG_INVALID if maxLength leaves no room beside the special tokens.
 */
export function joinTexts(
  texts: readonly (readonly number[])[],
  tokens: JoinTokens,
  { maxLength, separateTexts = true, segments = 1 }: JoinOptions,
): TokenSequence {
  check.positiveInteger('data', 'maxLength', maxLength);
  check.positiveInteger('data', 'segments', segments);
  const { start, separator, end } = tokens;
  const separators = separateTexts ? texts.length : 0;
  const closing = separateTexts && texts.length > 0 && separator === end ? 0 : 1;
  const budget = maxLength - (start === undefined ? 0 : 1) - separators - closing;
  if (budget < 0)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `data: maxLength ${maxLength} is too short for ${texts.length} texts and their special tokens.`,
    );
  const ids: number[] = [];
  const typeIds: number[] = [];
  const push = (id: number, segment: number) => {
    ids.push(id);
    typeIds.push(segment);
  };
  if (start !== undefined) push(start, 0);
  const kept = trimLengths(
    texts.map((text) => text.length),
    budget,
  );
  texts.forEach((text, i) => {
    for (let t = 0; t < kept[i]!; t += 1) push(text[t]!, i % segments);
    if (separateTexts) push(separator, i % segments);
  });
  if (closing === 1) push(end, texts.length % segments);
  return { ids, typeIds };
}
