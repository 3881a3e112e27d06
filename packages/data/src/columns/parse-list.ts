/** Lists that a table holds as text, in the ways that programs write them. */

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
    const item = quotedAt(inner, at) ?? bareAt(inner, at);
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

function quotedAt(text: string, start: number): FoundItem | undefined {
  const quote = text[start];
  if (quote !== '"' && quote !== "'") return undefined;
  let value = '';
  for (let at = start + 1; at < text.length; at += 1) {
    const character = text[at]!;
    if (character === quote) return { text: value, isQuoted: true, end: at + 1 };
    if (character !== '\\') {
      value += character;
      continue;
    }
    const [written, plain] = escapeAt(text, at);
    value += plain;
    at += written.length - 1;
  }
  return undefined;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

/** A backslash and what belongs to it, and the character that they stand for. */
function escapeAt(text: string, at: number): readonly [string, string] {
  const coded = /^\\(?:x([\da-f]{2})|u([\da-f]{4})|U([\da-f]{8}))/i.exec(text.slice(at, at + 10));
  if (coded) {
    const point = Number.parseInt(coded[1] ?? coded[2] ?? coded[3]!, 16);
    return [coded[0], point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd'];
  }
  const next = text[at + 1] ?? '';
  return [`\\${next}`, ESCAPES[next] ?? next];
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
