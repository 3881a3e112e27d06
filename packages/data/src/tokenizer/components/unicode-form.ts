/**
 * Unicode normalisation as the `tokenizers` library does it: characters that its Unicode version
 * does not know stay as they are.
 */
import { characterClass } from './character-set.js';
import { NOT_NORMALIZED } from './unicode-sets.js';

const UNKNOWN = new RegExp(`[${characterClass(NOT_NORMALIZED)}]`, 'u');
const KNOWN = new RegExp(`[^${characterClass(NOT_NORMALIZED)}]+`, 'gu');

/**
 * The text in a Unicode normal form, each character in that of the Unicode version that the library knows.
 */
export function unicodeForm(text: string, form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): string {
  return UNKNOWN.test(text)
    ? text.replace(KNOWN, (part) => part.normalize(form))
    : text.normalize(form);
}
