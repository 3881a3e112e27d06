/** Options of single sites by pattern (ranks, strengths) against the sites that a method takes. */
import { didYouMean, PeftError } from '@peft/errors';
import { patternFor } from '../description/module-pattern.js';
import type { PathPattern } from '../description/path-pattern.js';
import type { Site } from '../description/sites.js';
import type { AttachContext } from './attach-context.js';

type Patterns = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/**
 * Looks at the patterns once for all sites of a method.
 * @param patterns by option: values by key
 * @param pathOf the pattern of a key. Default: a regular expression for the end of a path, from a dot on
 * @throws PEFT_TARGET_NOT_FOUND for a key that none of the sites matches, with the nearest names; a
 *   foreign file may have such keys
 */
export function refuseUnmatchedPatterns(
  method: string,
  patterns: Patterns,
  { sites, isStrict, shared }: Pick<AttachContext, 'sites' | 'isStrict' | 'shared'>,
  pathOf: (key: string) => Pick<PathPattern, 'test'> = patternFor,
): void {
  if (!isStrict) return;
  shared(`${method} patterns`, () => refuseUnmatched(method, patterns, sites, pathOf));
}

function refuseUnmatched(
  method: string,
  patterns: Patterns,
  sites: readonly Site[],
  pathOf: (key: string) => Pick<PathPattern, 'test'>,
): void {
  for (const [option, values] of Object.entries(patterns))
    for (const key of Object.keys(values)) {
      const pattern = pathOf(key);
      if (sites.some(({ path }) => pattern.test(path))) continue;
      const names = new Set(sites.map(({ path }) => path.split('.').at(-1)!));
      throw new PeftError(
        'PEFT_TARGET_NOT_FOUND',
        `${method}: ${option}: ${JSON.stringify(key)} matches none of the ${sites.length} sites that it takes.`,
        {
          hint: (
            `${didYouMean(key, names)} They end with ${[...names].join(', ')}; a key is a ` +
            'regular expression for the end of a path.'
          ).trim(),
        },
      );
    }
}
