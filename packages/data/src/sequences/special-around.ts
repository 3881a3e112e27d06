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
