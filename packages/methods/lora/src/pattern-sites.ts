/** `rankPattern` and `alphaPattern` against the sites that LoRA takes. */
import { patternFor, type AttachContext } from '@peft/core';
import { didYouMean, PeftError } from '@peft/errors';
import type { LoraConfig } from './lora-config.js';

/**
 * @throws PEFT_TARGET_NOT_FOUND for a key that none of the sites matches; a foreign file may have
 *   such keys.
 */
export function refuseUnmatched(
  config: Pick<LoraConfig, 'rankPattern' | 'alphaPattern'>,
  { sites, isStrict }: Pick<AttachContext, 'sites' | 'isStrict'>,
): void {
  if (!isStrict) return;
  for (const field of ['rankPattern', 'alphaPattern'] as const)
    for (const key of Object.keys(config[field])) {
      const pattern = patternFor(key);
      if (sites.some(({ path }) => pattern.test(path))) continue;
      const names = new Set(sites.map(({ path }) => path.split('.').at(-1)!));
      throw new PeftError(
        'PEFT_TARGET_NOT_FOUND',
        `lora: ${field}: ${JSON.stringify(key)} matches none of the ${sites.length} sites that it takes.`,
        {
          hint: (
            `${didYouMean(key, names)} They end with ${[...names].join(', ')}; a key is a ` +
            'regular expression for the end of a path.'
          ).trim(),
        },
      );
    }
}
