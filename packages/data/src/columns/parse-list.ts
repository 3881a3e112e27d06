/** Lists that a table holds as text, in the ways that programs write them. */

import { quotedAt } from './quoted-text.js';

/** Wrappers of a whole list: NumPy's, and R's of vectors and lists. */
const WRAPPED =
  /^(?:c|list|array|np\.array|numpy\.array|tuple)\s*\((.*?)(?:,\s*dtype\s*=\s*[\w.'"<>]+)?\s*\)$/s;
/** What NumPy 2 writes around a value in a list. */
const SCALAR = /^(?:np|numpy)\.\w+\((.*)\)$/s;
const BARE = /^[+\-\w.\u00c0-\uffff]+$/u;

/**
 * The items of a list that a text spells: JSON (`["a", "b"]`), Python and pandas (`['a', "it's"]`,
 * `('a', 'b')`), NumPy (`['a' 'b']`, `[0 3 0]`, `array([...], dtype=object)`), R (`c("a", "b")`,
 * `c(1, 2)`), and bare words between commas (`[B-PER, O]`). Numbers are kept as they are written.
 *
 * @returns undefined for what is no list, so that it may be a text of words; null for what begins and
 *   ends as a list with quotes or commas and is none, or lacks a value (`None`, `NA`, `nan`).
 */
export function parseList(text: string): string[] | null | undefined {
  const trimmed = text.trim();
  const inner = insideOf(trimmed);
  if (inner === undefined) return undefined;
  const json = jsonItems(trimmed);
  if (json) return json;
  const items = itemsOf(inner);
  if (items?.some((item) => !item.isQuoted && /^(?:None|NA|nan|NaN|null|NULL)$/.test(item.text)))
    return null;
  const isCertain = /["',]/.test(inner);
  if (!items) return isCertain ? null : undefined;
  const areNumbers = items.every(({ text: item }) => /^[+-]?[\d.]+$/.test(item));
  if (!isCertain && !areNumbers) return undefined;
  return items.map((item) => item.text);
}

function insideOf(text: string): string | undefined {
  const wrapped = WRAPPED.exec(text)?.[1];
  if (wrapped !== undefined) {
    const bracketed = /^\[(.*)\]$/s.exec(wrapped.trim())?.[1];
    return bracketed ?? wrapped;
  }
  if (text.startsWith('[') && text.endsWith(']')) return text.slice(1, -1);
  // Words in parentheses are a text more often than a tuple: only quoted items make one.
  return /^\(\s*["'].*\)$/s.test(text) ? text.slice(1, -1) : undefined;
}

function jsonItems(text: string): string[] | undefined {
  try {
    const list: unknown = JSON.parse(text);
    const isFlat =
      Array.isArray(list) &&
      list.every((item) => typeof item === 'string' || typeof item === 'number');
    return isFlat ? list.map(String) : undefined;
  } catch {
    return undefined;
  }
}

interface Item {
  readonly text: string;
  readonly isQuoted: boolean;
}

/** Items between commas or blanks; undefined where something stands in neither. */
function itemsOf(inner: string): Item[] | undefined {
  const items: Item[] = [];
  let at = 0;
  const skipBlanks = (): void => {
    while (/\s/.test(inner[at] ?? '')) at += 1;
  };
  skipBlanks();
  while (at < inner.length) {
    const quoted = quotedAt(inner, at);
    const item = quoted ? { ...quoted, isQuoted: true } : bareAt(inner, at);
    if (!item) return undefined;
    items.push({ text: item.text, isQuoted: item.isQuoted });
    const end = item.end;
    at = end;
    skipBlanks();
    if (inner[at] === ',') {
      at += 1;
      skipBlanks();
    } else if (at === end && at < inner.length) return undefined;
  }
  return items;
}

interface FoundItem extends Item {
  readonly end: number;
}

function bareAt(text: string, start: number): FoundItem | undefined {
  const word = /^(?:(?:np|numpy)\.\w+\([^()]*\)|[^\s,"'()[\]]+)/u.exec(text.slice(start))?.[0];
  if (!word) return undefined;
  const end = start + word.length;
  const inner = SCALAR.exec(word)?.[1];
  if (inner !== undefined) {
    const quoted = quotedAt(inner, 0);
    return { text: quoted?.text ?? inner, isQuoted: quoted !== undefined, end };
  }
  return BARE.test(word) && word !== '...' ? { text: word, isQuoted: false, end } : undefined;
}
