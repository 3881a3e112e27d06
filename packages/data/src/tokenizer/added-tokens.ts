/**
 * Added tokens: strings such as `[MASK]` that are found in the text before anything else and have
 * ids of their own. Those with `normalized` are looked for in the normalised text, the others in
 * the raw text; the longest at the leftmost place counts.
 */
import type { Normalizer } from './components/normalizers.js';
import { StringTrie } from './models/string-trie.js';
import type { AddedTokenJson } from './tokenizer-json.js';

/** A stretch of text to be tokenised, or the id of an added token. */
export type Section =
  { readonly text: string; readonly atStart: boolean } | { readonly id: number };

const WORD_AT_END = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WHITE_SPACE = /\p{White_Space}/u;
const WORD_AT_START = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

/**
 * Makes a function that finds added tokens in a text.
 * @returns text → sections in order; the texts among them are normalised and not empty.
 */
export function createSectioner(
  tokens: readonly AddedTokenJson[],
  normalize: Normalizer,
): (text: string) => Section[] {
  const raw = createFinder(
    tokens.filter((token) => !isNormalized(token)),
    (content) => content,
  );
  const normalized = createFinder(tokens.filter(isNormalized), normalize);
  return (text) => {
    const sections: Section[] = [];
    for (const part of raw(text)) {
      if ('id' in part) {
        sections.push(part);
        continue;
      }
      for (const inner of normalized(normalize(part.text))) {
        sections.push(
          'id' in inner ? inner : { text: inner.text, atStart: part.atStart && inner.atStart },
        );
      }
    }
    return sections;
  };
}

function isNormalized(token: AddedTokenJson): boolean {
  return token.normalized ?? !token.special;
}

function createFinder(
  tokens: readonly AddedTokenJson[],
  write: (content: string) => string,
): (text: string) => Section[] {
  const known = tokens
    .map((token) => ({ ...token, content: write(token.content) }))
    .filter((token) => token.content !== '');
  if (known.length === 0) return (text) => (text === '' ? [] : [{ text, atStart: true }]);
  const trie = new StringTrie(known.map((token) => token.content));
  const firsts = new Set(known.map((token) => token.content.charCodeAt(0)));

  return (text) => {
    const sections: Section[] = [];
    let done = 0;
    const pushText = (end: number) => {
      if (end > done) sections.push({ text: text.slice(done, end), atStart: done === 0 });
    };
    for (let i = 0; i < text.length; i += 1) {
      if (!firsts.has(text.charCodeAt(i))) continue;
      let end = -1;
      let index = -1;
      trie.prefixes(text, i, (to, value) => {
        end = to;
        index = value;
      });
      const token = known[index];
      if (!token) continue;
      const wordBefore = WORD_AT_END.test(text.slice(Math.max(0, i - 2), i));
      const stop = end;
      if (token.single_word && (wordBefore || WORD_AT_START.test(text.slice(stop, stop + 2)))) {
        i = stop - 1;
        continue;
      }
      let from = i;
      if (token.lstrip) while (from > done && WHITE_SPACE.test(text[from - 1]!)) from -= 1;
      let to = stop;
      if (token.rstrip) to += /^\p{White_Space}*/u.exec(text.slice(stop))![0].length;
      pushText(from);
      sections.push({ id: token.id });
      done = to;
      i = to - 1;
    }
    pushText(text.length);
    return sections;
  };
}
