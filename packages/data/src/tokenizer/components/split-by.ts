/** Cuts a text at the matches of a pattern. */
import type { TextPattern } from './text-pattern.js';

/**
 * What becomes of a match: `Removed`, a piece of its own (`Isolated`), joined with neighbouring
 * matches (`Contiguous`), or with the text before or after it.
 */
export type SplitBehavior =
  'Removed' | 'Isolated' | 'Contiguous' | 'MergedWithPrevious' | 'MergedWithNext';

interface Span {
  start: number;
  end: number;
  readonly matched: boolean;
}

/**
 * Makes a function that splits texts where a pattern matches.
 * @param invert the text between the matches is what matches.
 * @returns text → pieces, none empty.
 */
export function splitBy(
  pattern: TextPattern,
  behavior: SplitBehavior,
  invert: boolean,
): (text: string) => string[] {
  return (text) => {
    const spans = spansOf(text, pattern, invert);
    switch (behavior) {
      case 'Isolated':
        break;
      case 'Removed':
        return pieces(
          text,
          spans.filter((span) => !span.matched),
        );
      case 'Contiguous':
        return pieces(
          text,
          joined(spans, (before, span) => before.matched === span.matched),
        );
      case 'MergedWithPrevious':
        return pieces(
          text,
          joined(spans, (before, span) => span.matched && !before.matched),
        );
      case 'MergedWithNext':
        return pieces(
          text,
          joined(spans, (before, span) => before.matched && !span.matched),
        );
    }
    return pieces(text, spans);
  };
}

function spansOf(text: string, pattern: TextPattern, invert: boolean): Span[] {
  const spans: Span[] = [];
  let end = 0;
  for (const match of pattern(text)) {
    if (match[0] === '') continue;
    const start = match.index!; // matchAll always has it
    if (start > end) spans.push({ start: end, end: start, matched: invert });
    end = start + match[0].length;
    spans.push({ start, end, matched: !invert });
  }
  if (end < text.length) spans.push({ start: end, end: text.length, matched: invert });
  return spans;
}

/** Joins neighbours for which `join` holds; it sees the spans as they were cut. */
function joined(spans: readonly Span[], join: (before: Span, span: Span) => boolean): Span[] {
  const result: Span[] = [];
  let before: Span | undefined;
  for (const span of spans) {
    const last = result.at(-1);
    if (last && before && join(before, span)) last.end = span.end;
    else result.push({ ...span });
    before = span;
  }
  return result;
}

function pieces(text: string, spans: readonly Span[]): string[] {
  return spans.map(({ start, end }) => text.slice(start, end));
}
