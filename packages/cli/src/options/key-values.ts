/** `key=value` words of a command line, read in this one place. */
import { PeftError, show } from '@peft/errors';
import { parseScalar } from '@peft/predictor';

/**
 * `['rank=16', 'targets=["query"]']` as `{ rank: 16, targets: ['query'] }`. A key that is given
 * twice has its last value.
 *
 * @param flag the command and the flag that an error names, `fit: --option`.
 * @returns values as JSON where they are JSON (`3e-3`, `true`, `[1,2]`), else the text itself.
 * @throws PEFT_OPTION_INVALID for a word without a key or without `=`
 */
export function keyValues(flag: string, words: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at <= 0)
        throw new PeftError(
          'PEFT_OPTION_INVALID',
          `${flag}: ${show(word)} is not of the form key=value.`,
          { hint: `for instance ${flag.slice(flag.indexOf('--'))} ${exampleFor(word, at)}` },
        );
      return [word.slice(0, at), parseScalar(word.slice(at + 1))];
    }),
  );
}

/** The user's own word where it can be a key. */
const exampleFor = (word: string, at: number): string =>
  at < 0 && /^[\w.]+$/.test(word) ? `${word}=VALUE` : 'rank=16';
