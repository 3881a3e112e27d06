/** Parses JSON as other tools write it. */
import { unreadable } from './read-options.js';

/**
 * The value of a JSON text; `NaN`, which Python and pandas write for a missing number, is null.
 * @param place of the text in the file, for the error.
 * @throws PEFT_TABLE_UNREADABLE
 */
export function parseJson(text: string, path: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const plain = withoutNotANumber(text);
    if (plain !== text) {
      try {
        return JSON.parse(plain);
      } catch {
        // the first error says what is wrong
      }
    }
    throw unreadable(path, `${place} is not JSON (${(cause as Error).message}).`, { cause });
  }
}

/** The text with `null` for each `NaN` that stands outside of quotes. */
function withoutNotANumber(text: string): string {
  const pieces: string[] = [];
  let start = 0; // of what is not in pieces yet
  let quote = text.indexOf('"');
  for (let found = text.indexOf('NaN'); found >= 0; found = text.indexOf('NaN', found + 3)) {
    while (quote >= 0 && quote < found) {
      const end = endOfQuotes(text, quote);
      if (found < end) found = text.indexOf('NaN', end);
      quote = text.indexOf('"', end);
    }
    if (found < 0) break;
    pieces.push(text.slice(start, found), 'null');
    start = found + 3;
  }
  return pieces.length === 0 ? text : pieces.join('') + text.slice(start);
}

/** Where the quotes that open at `quote` have closed; the end of the text if they never do. */
function endOfQuotes(text: string, quote: number): number {
  let end = quote + 1;
  for (;;) {
    end = text.indexOf('"', end);
    if (end < 0) return text.length;
    let backslashes = 0;
    while (text[end - 1 - backslashes] === '\\') backslashes += 1;
    end += 1;
    if (backslashes % 2 === 0) return end;
  }
}
