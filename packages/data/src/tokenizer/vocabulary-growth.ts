/** Adds tokens to the vocabulary of a `tokenizer.json`. */
import { PeftError, show } from '@peft/errors';
import { createTextTokenizer } from './text-tokenizer.js';
import type { AddedTokenJson, TokenizerJson } from './tokenizer-json.js';

/**
 * The tokeniser with further tokens, in the given order behind all others, as transformers'
 * `tokenizer.add_tokens` puts them: found in the text before anything else, and written back by
 * `decode`. A token of the vocabulary stays what it is.
 *
 * @throws PEFT_CONFIG_INVALID for an empty token
 */
export function withAddedTokens(json: TokenizerJson, tokens: readonly string[]): TokenizerJson {
  const empty = tokens.find((token) => typeof token !== 'string' || token === '');
  if (empty !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `data: an added token must be a text of at least one character, got ${show(empty)}.`,
    );
  const { vocabularySize, tokenToId } = createTextTokenizer(json);
  const added = [...new Set(tokens)]
    .filter((token) => tokenToId(token) === undefined)
    .map((content, n): AddedTokenJson => ({
      id: vocabularySize + n,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: true,
      special: false,
    }));
  return { ...json, added_tokens: [...(json.added_tokens ?? []), ...added] };
}
