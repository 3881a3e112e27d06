/** Values of an option that differ between modules (`rank_pattern`). */
import { check, PeftError, show } from '@peft/errors';
import { fullMatch, type PathPattern } from './path-pattern.js';

/**
 * Values of modules whose path is the key or ends with it after a dot; the key is a regular
 * expression. The first that matches counts.
 */
export type ModulePattern = Readonly<Record<string, number>>;

/** A key of a pattern: a regular expression for the end of a path, from a dot on. */
export const patternFor = (key: string): PathPattern => fullMatch(`(?:.*\\.)?(?:${key})`);

/** The value of the first key that matches a path. */
export function valueAt(path: string, pattern: ModulePattern): number | undefined {
  const key = Object.keys(pattern).find((candidate) => patternFor(candidate).test(path));
  return key === undefined ? undefined : pattern[key];
}

/** @throws PEFT_CONFIG_INVALID for a value that is none, or a key that is no regular expression */
export function refuseBadPattern(
  owner: string,
  field: string,
  pattern: unknown,
  rule: 'positiveInteger' | 'positive',
): void {
  if (typeof pattern !== 'object' || pattern === null || Array.isArray(pattern))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: ${field} must be an object of values by module, got ${show(pattern)}.`,
    );
  for (const [key, value] of Object.entries(pattern)) {
    if (rule === 'positive') check.positive(owner, `${field}[${JSON.stringify(key)}]`, value);
    else check.positiveInteger(owner, `${field}[${JSON.stringify(key)}]`, value);
    patternFor(key);
  }
}
