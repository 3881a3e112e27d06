/**
 * Full fine-tuning as a method: every parameter of the model trains, none is added. What
 * `optim.peft: null` means.
 */
import { definePeftMethod } from '@peft/core';
import { check } from '@peft/errors';

/** Full fine-tuning has no options. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface FullFineTuningConfig {}

declare module '@peft/core' {
  interface PeftConfigs {
    full: FullFineTuningConfig;
  }
}

/**
 * Trains copies of all base parameters, in float32: they take 4 bytes an element beside the base,
 * and the optimiser as much again per state. The adapter's file holds the whole model.
 * @throws PEFT_CONFIG_UNKNOWN_KEY for any option: it has none.
 */
export const fullFineTuning = definePeftMethod({
  name: 'full',
  formula: 'every parameter learned',
  parseConfig(input): FullFineTuningConfig {
    check.knownKeys('full', input, []);
    return Object.freeze({});
  },
  defaultTargets: ({ parameters }) => ({ targets: parameters.map(({ name }) => name) }),
  attach: {
    parameter(site, _config, context) {
      context.unfreeze(site.path);
      return undefined;
    },
  },
});
