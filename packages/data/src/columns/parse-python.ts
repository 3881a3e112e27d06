/** Values that a table holds as Python's text of them: lists and dictionaries, in one another. */
import { quotedAt } from './quoted-text.js';

/** Deeper ones are no data. */
const DEEPEST = 50;
const NUMBER = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const WORD = /True|False|None|nan/y;
const ARRAY = /(?:np\.|numpy\.)?array\(/y;
const DTYPE = /\s*(?:,\s*dtype=[\w.'<>|]+\s*)?\)/y;
const BLANKS = /\s*/y;
const WORDS: Readonly<Record<string, unknown>> = {
  True: true,
  False: false,
  None: null,
  nan: null,
};

interface Found {
  readonly value: unknown;
  readonly end: number;
}

/**
 * The value that a text spells as Python prints it: `[{'role': 'user', 'content': "it's"}]`, tuples,
 * `None`, `True`, numbers, and NumPy's arrays, whose items may have no commas between them.
 * @returns undefined for what is no such value
 */
export function parsePython(text: string): unknown {
  const found = valueAt(text, blanksAfter(text, 0), 0);
  return found && blanksAfter(text, found.end) === text.length ? found.value : undefined;
}

function valueAt(text: string, start: number, depth: number): Found | undefined {
  if (depth > DEEPEST) return undefined;
  const first = text[start];
  if (first === '[') return itemsAt(text, start + 1, ']', depth);
  if (first === '(') return itemsAt(text, start + 1, ')', depth);
  if (first === '{') return dictionaryAt(text, start + 1, depth);
  const quoted = quotedAt(text, start);
  if (quoted) return { value: quoted.text, end: quoted.end };
  const array = matchAt(ARRAY, text, start);
  if (array !== undefined) {
    const inner = valueAt(text, start + array.length, depth + 1);
    const close = inner && matchAt(DTYPE, text, inner.end);
    return close === undefined
      ? undefined
      : { value: inner!.value, end: inner!.end + close.length };
  }
  const word = matchAt(WORD, text, start);
  if (word !== undefined) return { value: WORDS[word], end: start + word.length };
  const number = matchAt(NUMBER, text, start);
  return number === undefined ? undefined : { value: Number(number), end: start + number.length };
}

function itemsAt(text: string, start: number, close: string, depth: number): Found | undefined {
  const items: unknown[] = [];
  let at = blanksAfter(text, start);
  while (text[at] !== close) {
    const item = valueAt(text, at, depth + 1);
    if (!item) return undefined;
    items.push(item.value);
    const next = blanksAfter(text, item.end);
    const isSeparated = text[next] === ',' || text[next] === close || next > item.end;
    if (!isSeparated) return undefined;
    at = text[next] === ',' ? blanksAfter(text, next + 1) : next;
  }
  return { value: items, end: at + 1 };
}

function dictionaryAt(text: string, start: number, depth: number): Found | undefined {
  const fields: [string, unknown][] = [];
  let at = blanksAfter(text, start);
  while (text[at] !== '}') {
    const key = valueAt(text, at, depth + 1);
    if (!key || typeof key.value === 'object') return undefined;
    const colon = blanksAfter(text, key.end);
    if (text[colon] !== ':') return undefined;
    const value = valueAt(text, blanksAfter(text, colon + 1), depth + 1);
    if (!value) return undefined;
    fields.push([String(key.value), value.value]);
    const next = blanksAfter(text, value.end);
    if (text[next] !== ',' && text[next] !== '}') return undefined;
    at = text[next] === ',' ? blanksAfter(text, next + 1) : next;
  }
  return { value: Object.fromEntries(fields), end: at + 1 };
}

const blanksAfter = (text: string, start: number): number =>
  start + (matchAt(BLANKS, text, start) ?? '').length;

/** What a sticky expression matches at a place. */
function matchAt(expression: RegExp, text: string, start: number): string | undefined {
  expression.lastIndex = start;
  return expression.exec(text)?.[0];
}
