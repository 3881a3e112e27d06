/**
 * Patterns of tokenizer files: a literal string, or an Oniguruma regular expression translated by
 * `@huggingface/tokenizers`.
 */
import { invalidTokenizer } from './component-error.js';
import { SplitPreTokenizer } from '../tokenizers-library.js';

/**
 * The regular expression of a `{ String }` or `{ Regex }` pattern.
 * @throws PEFT_TOKENIZER_INVALID if the pattern is neither or cannot be translated.
 */
export function textPattern(pattern: unknown): RegExp {
  const { String: text, Regex: source } = (pattern ?? {}) as { String?: unknown; Regex?: unknown };
  if (typeof text !== 'string' && typeof source !== 'string') {
    throw invalidTokenizer(
      `a pattern of the tokenizer must have "String" or "Regex", got ${JSON.stringify(pattern)}.`,
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
      `the tokenizer's regular expression ${JSON.stringify(source)} cannot be used.`,
      cause,
    );
  }
  throw invalidTokenizer(`the tokenizer's pattern ${JSON.stringify(pattern)} cannot be used.`);
}
