/** BERT's text clean-up, character for character as the `tokenizers` library does it. */
import { characterClass } from './character-set.js';
import { unicodeForm } from './unicode-form.js';
import { CLEANED, COMBINING_MARKS, NONSPACING_MARKS } from './unicode-sets.js';

const CLEANED_PATTERN = new RegExp(`[${characterClass(CLEANED)}]`, 'gu');
const COMBINING_PATTERN = new RegExp(`[${characterClass(COMBINING_MARKS)}]`, 'gu');
const NONSPACING_PATTERN = new RegExp(`[${characterClass(NONSPACING_MARKS)}]`, 'gu');
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

/** The options of a `BertNormalizer` in `tokenizer.json`. */
export interface BertNormalizerOptions {
  /** Drop control, format and private characters; make every white space a space. Default true. */
  readonly clean_text?: boolean;
  /** Put spaces around CJK ideographs. Default true. */
  readonly handle_chinese_chars?: boolean;
  /** Default: as `lowercase`. */
  readonly strip_accents?: boolean | null;
  /** Default true. */
  readonly lowercase?: boolean;
}

/**
 * Makes BERT's normaliser.
 * @returns the normaliser: clean up, space out ideographs, strip accents, lower case; in this
 *   order.
 */
export function bertNormalizer(options: BertNormalizerOptions): (text: string) => string {
  const { clean_text = true, handle_chinese_chars = true, lowercase = true } = options;
  const accents = options.strip_accents ?? lowercase;
  return (text) => {
    let result = text;
    if (clean_text) result = result.replace(CLEANED_PATTERN, '').replace(/\p{White_Space}/gu, ' ');
    if (handle_chinese_chars) result = result.replace(CHINESE, ' $& ');
    if (accents) result = unicodeForm(result, 'NFD').replace(NONSPACING_PATTERN, '');
    return lowercase ? lowerCase(result) : result;
  };
}

/** Lower case character by character: a final Σ becomes σ, not ς, as in the reference. */
export function lowerCase(text: string): string {
  return text.replaceAll('Σ', 'σ').toLowerCase();
}

/** Removes combining marks; accented letters must have been decomposed before. */
export function stripAccents(text: string): string {
  return text.replace(COMBINING_PATTERN, '');
}
