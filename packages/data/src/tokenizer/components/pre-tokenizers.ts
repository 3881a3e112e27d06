/**
 * Builds the pre-tokeniser of a `tokenizer.json`: normalised text → pieces ("words") that the model
 * splits further, none across two.
 */
import { BYTE_CHARACTERS, encodeByteLevel } from './byte-level.js';
import { characterClass } from './character-set.js';
import { invalidTokenizer, unsupportedComponent } from './component-error.js';
import { splitBy, type SplitBehavior } from './split-by.js';
import { everyMatch, textPattern } from './text-pattern.js';
import type { ComponentJson } from '../tokenizer-json.js';
import { PUNCTUATION as PUNCTUATION_SET } from './unicode-sets.js';

/**
 * Splits a text into pieces that are tokenised one by one.
 * @param atStart whether the text begins where the whole input begins, which Metaspace's `first`
 *   asks.
 */
export type PreTokenizer = (text: string, atStart: boolean) => string[];

const GPT2_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const PUNCTUATION = everyMatch(new RegExp(`[${characterClass(PUNCTUATION_SET)}]`, 'gu'));
const NUMBER = everyMatch(/\p{N}/gu);
const BERT_WORDS = new RegExp(
  `[${characterClass(PUNCTUATION_SET)}]|[^\\p{White_Space}${characterClass(PUNCTUATION_SET)}]+`,
  'gu',
);
const NOT_SPACE = /\P{White_Space}+/gu;
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const WORDS = new RegExp(`[${WORD}]+|[^${WORD}\\p{White_Space}]+`, 'gu');

/**
 * Makes the function that splits a text into pieces.
 * @param json the `pre_tokenizer` entry; null for none.
 * @throws PEFT_TOKENIZER_UNSUPPORTED for an unknown type, PEFT_TOKENIZER_INVALID for options that
 *   make no sense.
 */
export function createPreTokenizer(json: ComponentJson | null | undefined): PreTokenizer {
  if (!json) return (text) => [text];
  switch (json.type) {
    case 'Sequence':
      return sequence(((json.pretokenizers ?? []) as ComponentJson[]).map(createPreTokenizer));
    case 'Metaspace':
      return metaspace(json);
    case 'ByteLevel':
      return byteLevel(json.add_prefix_space !== false, json.use_regex !== false);
    case 'BertPreTokenizer':
      return (text) => text.match(BERT_WORDS) ?? [];
    case 'WhitespaceSplit':
      return (text) => text.match(NOT_SPACE) ?? [];
    case 'Whitespace':
      return (text) => text.match(WORDS) ?? [];
    case 'Punctuation':
      return splitBy(PUNCTUATION, behavior(json.behavior ?? 'Isolated'), false);
    case 'Digits':
      return splitBy(NUMBER, json.individual_digits === true ? 'Isolated' : 'Contiguous', false);
    case 'Split':
      return splitBy(textPattern(json.pattern), behavior(json.behavior), json.invert === true);
    case 'CharDelimiterSplit':
      return splitBy(textPattern({ String: json.delimiter }), 'Removed', false);
    case 'FixedLength': {
      const length = Number(json.length);
      if (!Number.isSafeInteger(length) || length < 1)
        throw invalidTokenizer(`the tokenizer's FixedLength has length ${String(json.length)}.`);
      const chunk = new RegExp(`[\\s\\S]{1,${length}}`, 'gu');
      return (text) => text.match(chunk) ?? [];
    }
    default:
      throw unsupportedComponent('pre_tokenizer', json.type);
  }
}

function sequence(parts: readonly PreTokenizer[]): PreTokenizer {
  return (text, atStart) => {
    let pieces = [text];
    let start = atStart;
    for (const part of parts) {
      const before = pieces[0];
      pieces = pieces.flatMap((piece, i) => part(piece, start && i === 0));
      // A part that drops leading white space moves the first piece away from the start.
      if (
        start &&
        before !== undefined &&
        /^\p{White_Space}/u.test(before) &&
        pieces[0] !== undefined &&
        !/^[\p{White_Space}▁Ġ]/u.test(pieces[0])
      )
        start = false;
    }
    return pieces;
  };
}

/** Spaces become ▁, one is put in front, and the text is cut before every ▁. */
function metaspace(json: ComponentJson): PreTokenizer {
  const mark = String(json.replacement ?? '▁');
  const scheme = json.prepend_scheme ?? (json.add_prefix_space === false ? 'never' : 'always');
  if (scheme !== 'always' && scheme !== 'first' && scheme !== 'never')
    throw invalidTokenizer(
      `the tokenizer's Metaspace has prepend_scheme ${JSON.stringify(scheme)}.`,
    );
  const cut =
    json.split === false
      ? (text: string) => [text]
      : splitBy(textPattern({ String: mark }), 'MergedWithNext', false);
  return (text, atStart) => {
    if (text === '') return [];
    let marked = text.replaceAll(' ', mark);
    if (!marked.startsWith(mark) && (scheme === 'always' || (scheme === 'first' && atStart)))
      marked = mark + marked;
    return cut(marked);
  };
}

function byteLevel(addPrefixSpace: boolean, useRegex: boolean): PreTokenizer {
  const ascii = BYTE_CHARACTERS[0x20]!;
  return (text) => {
    const spaced = addPrefixSpace && text !== '' && !text.startsWith(' ') ? ` ${text}` : text;
    if (spaced === '') return [];
    const words = useRegex ? (spaced.match(GPT2_WORDS) ?? []) : [spaced];
    return words.map((word) =>
      /^ ?[!-~]*$/.test(word) ? word.replace(' ', ascii) : encodeByteLevel(word),
    );
  };
}

function behavior(name: unknown): SplitBehavior {
  const known: Record<string, SplitBehavior> = {
    removed: 'Removed',
    isolated: 'Isolated',
    contiguous: 'Contiguous',
    mergedwithprevious: 'MergedWithPrevious',
    mergedwithnext: 'MergedWithNext',
  };
  const found = known[String(name).toLowerCase().replaceAll('_', '')];
  if (!found) throw unsupportedComponent('split behaviour', name);
  return found;
}
