/** A fit that is to end in an adapter that a target loads. */
import { peftFormat, type Model } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import { STACKED_VERDICT, TARGET_NAMES, TARGETS, type Check, type Target } from './targets.js';

/**
 * What a fit needs to end in an adapter that a target loads: given to `fit` as `beforeTraining`, it
 * refuses before the first step what {@link checkAdapter} would find in the files afterwards. For a
 * target that loads no adapters, the adapter must be one that can be merged.
 *
 * @param tell told what to mind where it loads
 * @throws PEFT_CONFIG_INVALID for a target that there is not; what it returns throws
 *   PEFT_TARGET_UNSUPPORTED and PEFT_MERGE_INEXACT
 */
export function loadableBy(
  target: string,
  tell: (sentence: string) => void = () => undefined,
): (model: Model) => void {
  check.oneOf('loadableBy', 'target', target, TARGET_NAMES);
  return (model) => {
    const { check: checkConfig, takesMergedAlone }: Target = TARGETS[target];
    if (takesMergedAlone) return model.checkMergeable();
    const { loads, reasons, advice } = verdictOn(model, checkConfig);
    const why = reasons.join('; ');
    if (!loads)
      throw new PeftError(
        'PEFT_TARGET_UNSUPPORTED',
        `${target} would not load this adapter: ${why}.`,
        {
          hint: `choose other options, or leave the target out and afterwards ${advice}`,
        },
      );
    if (reasons.length) tell(`${target}: ${why}; ${advice}`);
  };
}

/** By the config that the adapter's files will have. */
function verdictOn(model: Model, checkConfig: Check): ReturnType<Check> {
  const [name, ...others] = model.activeAdapters;
  if (name === undefined || others.length > 0) return STACKED_VERDICT;
  const adapter = model.adapter(name);
  const own = adapter.parts.map(({ part }) => part.method.format).find((format) => format);
  const config = (own ?? peftFormat).writeConfig(adapter, {});
  // as the files have it, without what JSON leaves out
  return checkConfig(JSON.parse(JSON.stringify(config)) as JsonObject);
}
