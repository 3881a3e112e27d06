/**
 * Regular expressions on module paths, as Python's PEFT writes them. They come from users and from
 * `adapter_config.json` of strangers, so that they are matched within a time limit.
 */
import { PeftError, withinTime } from '@peft/errors';

/** All matches of one pattern together; an ordinary pattern takes microseconds for a path. */
const LIMIT_MS = 1000;

/** A pattern on paths. */
export interface PathPattern {
  /** @throws PEFT_TARGET_PATTERN matching has taken over a second. */
  test(path: string): boolean;
  /** The groups of the first match. @throws PEFT_TARGET_PATTERN as `test`. */
  exec(path: string): RegExpExecArray | null;
}

/**
 * Python's `re.fullmatch`.
 *
 * @throws PEFT_TARGET_PATTERN the text is no regular expression.
 */
export const fullMatch = (pattern: string): PathPattern => pythonPattern('targets', pattern, true);

/**
 * Python's spelling of a regular expression in JavaScript's: named groups, start and end of the
 * text, and flags at the start (`(?i)`).
 *
 * @param field named in errors.
 * @param isWhole whether it must match a path from its first to its last character.
 * @throws PEFT_TARGET_PATTERN the text is no regular expression.
 */
export function pythonPattern(field: string, pattern: string, isWhole = false): PathPattern {
  const expression = compile(field, pattern, isWhole);
  if (isCheap(pattern)) return expression;
  let leftMs = LIMIT_MS;
  const timed = <T>(match: () => T): T => {
    const start = performance.now();
    const result = withinTime(Math.max(1, Math.ceil(leftMs)), match, () => tooSlow(field, pattern));
    leftMs -= performance.now() - start;
    return result;
  };
  return {
    test: (path) => timed(() => expression.test(path)),
    exec: (path) => timed(() => expression.exec(path)),
  };
}

function compile(field: string, pattern: string, isWhole: boolean): RegExp {
  try {
    const [flags = '', letters = ''] = /^\(\?([ims]+)\)/.exec(pattern) ?? [];
    const body = pattern
      .slice(flags.length)
      .replaceAll('(?P<', '(?<')
      .replace(/\(\?P=(\w+)\)/g, '\\k<$1>')
      .replaceAll('\\Z', '$')
      .replaceAll('\\A', '^');
    return new RegExp(isWhole ? `^(?:${body})$` : body, letters);
  } catch (cause) {
    throw new PeftError(
      'PEFT_TARGET_PATTERN',
      `${field}: ${shown(pattern)} is not a regular expression (${shortened((cause as Error).message)}).`,
      { hint: 'a string must match whole paths; write a list to match their ends', cause },
    );
  }
}

/**
 * Whether backtracking cannot matter on paths: no group is repeated, and at most two parts are, so
 * that a path of n characters takes at most about n³ steps.
 */
const isCheap = (pattern: string): boolean =>
  !/\)[*+{]/.test(pattern) &&
  (pattern.match(/[*+{]/g) ?? []).length <= 2 &&
  (pattern.match(/\?/g) ?? []).length <= 8;

const tooSlow = (field: string, pattern: string): PeftError =>
  new PeftError(
    'PEFT_TARGET_PATTERN',
    `${field}: matching ${shown(pattern)} takes over ${LIMIT_MS} ms.`,
    { hint: 'do not repeat a group that repeats something itself, as in (.+)+' },
  );

const shown = (pattern: string): string => JSON.stringify(shortened(pattern));

const shortened = (text: string): string => (text.length > 200 ? `${text.slice(0, 199)}…` : text);
