/**
 * Patterns of tokenizer files: a literal string, or an Oniguruma regular expression translated by
 * `@huggingface/tokenizers`. One that no family of models uses is matched within a time limit, as
 * it may have been written to take for ever.
 */
import { PeftError, show, withinTime } from '@peft/errors';
import { invalidTokenizer } from './component-error.js';
import { SplitPreTokenizer } from '../tokenizers-library.js';

/** Finds all matches of a pattern in a text, in order and without overlap. */
export type TextPattern = (text: string) => Iterable<RegExpMatchArray>;

/**
 * Regular expressions of released models, whose time grows with the text: GPT-2's, Llama 3's,
 * Qwen's, and the runs of spaces of SentencePiece's conversions.
 */
const WELL_KNOWN: ReadonlySet<string> = new Set([
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ' {2,}',
]);

/** Time for one text, in milliseconds: a second, and one more for each 100,000 characters. */
const limitFor = (text: string): number => 1000 + Math.ceil(text.length / 100);

/**
 * The matcher of a `{ String }` or `{ Regex }` pattern.
 *
 * @returns a matcher that throws PEFT_TOKENIZER_PATTERN where a text takes over a second, and one
 *   more for each 100,000 of its characters.
 * @throws PEFT_TOKENIZER_INVALID if the pattern is neither or cannot be translated.
 */
export function textPattern(pattern: unknown): TextPattern {
  const expression = compile(pattern);
  const source = (pattern as { Regex?: unknown }).Regex;
  if (typeof source !== 'string' || WELL_KNOWN.has(source)) return everyMatch(expression);
  return (text) =>
    withinTime(
      limitFor(text),
      () => [...text.matchAll(expression)],
      () => tooSlow(source, text),
    );
}

/**
 * The matcher of an expression of our own, which needs no limit.
 * @param expression with the `g` flag.
 */
export const everyMatch =
  (expression: RegExp): TextPattern =>
  (text) =>
    text.matchAll(expression);

function compile(pattern: unknown): RegExp {
  const { String: text, Regex: source } = (pattern ?? {}) as { String?: unknown; Regex?: unknown };
  if (typeof text !== 'string' && typeof source !== 'string') {
    throw invalidTokenizer(
      `a pattern of the tokenizer must have "String" or "Regex", got ${show(pattern)}.`,
    );
  }
  try {
    const { pattern: compiled } = new SplitPreTokenizer({
      type: 'Split',
      pattern: typeof text === 'string' ? { String: text } : { Regex: source as string },
      behavior: 'Isolated',
      invert: false,
    });
    if (compiled) return compiled;
  } catch (cause) {
    throw invalidTokenizer(
      `the tokenizer's regular expression ${show(source)} cannot be used.`,
      cause,
    );
  }
  throw invalidTokenizer(`the tokenizer's pattern ${show(pattern)} cannot be used.`);
}

const tooSlow = (source: string, text: string): PeftError =>
  new PeftError(
    'PEFT_TOKENIZER_PATTERN',
    `data: the tokenizer's regular expression ${show(source)} takes over ` +
      `${limitFor(text)} ms for a text of ${text.length} characters.`,
    {
      hint: 'Use a tokenizer from a source that you trust; this one may be made to hang programs.',
    },
  );
