/** Texts in quotes, as Python and R write them. */

/** A text that was found, and where what follows it begins. */
export interface QuotedText {
  readonly text: string;
  readonly end: number;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

/** The text in single or double quotes that begins at `start`; undefined if none does, or it never ends. */
export function quotedAt(text: string, start: number): QuotedText | undefined {
  const quote = text[start];
  if (quote !== '"' && quote !== "'") return undefined;
  const pieces: string[] = [];
  for (let at = start + 1; at < text.length; at += 1) {
    const character = text[at]!;
    if (character === quote) return { text: pieces.join(''), end: at + 1 };
    if (character !== '\\') {
      pieces.push(character);
      continue;
    }
    const [written, plain] = escapeAt(text, at);
    pieces.push(plain);
    at += written.length - 1;
  }
  return undefined;
}

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
