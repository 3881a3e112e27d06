/** Builds the normaliser of a `tokenizer.json`: text → text, before it is cut into words. */
import {
  bertNormalizer,
  lowerCase,
  stripAccents,
  type BertNormalizerOptions,
} from './bert-normalizer.js';
import { encodeByteLevel } from './byte-level.js';
import { invalidTokenizer, unsupportedComponent } from './component-error.js';
import { precompiledNormalizer } from './precompiled-charsmap.js';
import { textPattern, type TextPattern } from './text-pattern.js';
import type { ComponentJson } from '../tokenizer-json.js';
import { unicodeForm } from './unicode-form.js';

/** A text as the model wants to see it. */
export type Normalizer = (text: string) => string;

/**
 * Makes the function that normalises a text before it is split.
 * @param json the `normalizer` entry; null for none.
 * @throws PEFT_TOKENIZER_UNSUPPORTED for an unknown type, PEFT_TOKENIZER_INVALID for options that
 *   make no sense.
 */
export function createNormalizer(json: ComponentJson | null | undefined): Normalizer {
  if (!json) return (text) => text;
  switch (json.type) {
    case 'Sequence': {
      const parts = ((json.normalizers ?? []) as ComponentJson[]).map(createNormalizer);
      return (text) => parts.reduce((result, part) => part(result), text);
    }
    case 'BertNormalizer':
      return bertNormalizer(json as BertNormalizerOptions);
    case 'Precompiled':
      return precompiledNormalizer(Buffer.from(String(json.precompiled_charsmap ?? ''), 'base64'));
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = json.type;
      return (text) => unicodeForm(text, form);
    }
    case 'Lowercase':
      return lowerCase;
    case 'StripAccents':
      return stripAccents;
    case 'Strip':
      return strip(json.strip_left !== false, json.strip_right !== false);
    case 'Prepend': {
      const prefix = String(json.prepend ?? '');
      return (text) => (text === '' ? text : prefix + text);
    }
    case 'Replace': {
      const pattern = textPattern(json.pattern);
      if (typeof json.content !== 'string')
        throw invalidTokenizer('the tokenizer\'s Replace normaliser has no "content".');
      const content = json.content;
      return (text) => replaceMatches(text, pattern, content);
    }
    case 'Nmt':
      return (text) =>
        text
          .replace(/[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g, '')
          .replace(/[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g, ' ');
    case 'ByteLevel':
      return encodeByteLevel;
    default:
      throw unsupportedComponent('normalizer', json.type);
  }
}

function strip(left: boolean, right: boolean): Normalizer {
  return (text) => {
    let result = text;
    if (left) result = result.replace(/^\p{White_Space}+/u, '');
    if (right) result = result.slice(0, endOfText(result));
    return result;
  };
}

/** Where the white space at the end begins; an expression would try every run of white space. */
function endOfText(text: string): number {
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text[end - 1]!)) end -= 1;
  return end;
}

function replaceMatches(text: string, pattern: TextPattern, content: string): string {
  let result = '';
  let end = 0;
  for (const match of pattern(text)) {
    result += text.slice(end, match.index) + content;
    end = match.index! + match[0].length; // matchAll always has it
  }
  return result + text.slice(end);
}
