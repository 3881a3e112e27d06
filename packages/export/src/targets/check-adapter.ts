/** Who loads an adapter as it is, and why not. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { check, PeftError } from '@peft/errors';
import { readJsonObject } from '@peft/hub';
import { STACKED_VERDICT, TARGET_NAMES, TARGETS, type AdapterVerdict } from './targets.js';

/**
 * Who loads the adapter in a folder as it is.
 * @param target one of them. Default: all.
 * @throws PEFT_ADAPTER_MISSING, PEFT_CONFIG_INVALID for a target that there is not
 */
export function checkAdapter(folder: string, target?: string): AdapterVerdict[] {
  if (target !== undefined) check.oneOf('checkAdapter', 'target', target, TARGET_NAMES);
  const own = readJsonObject(join(folder, 'adapter_config.json'));
  const config = own ?? readJsonObject(join(folder, 'adapter', 'adapter_config.json'));
  if (!config)
    throw new PeftError(
      'PEFT_ADAPTER_MISSING',
      `export: ${resolve(folder)} holds no adapter_config.json.`,
      { hint: "give an adapter's folder, or one that fit saved" },
    );
  const saved = own ? dirname(resolve(folder)) : folder;
  const isStacked = ['predictor.json', 'base-adapter'].every((name) =>
    existsSync(join(saved, name)),
  );
  return TARGET_NAMES.filter((name) => target === undefined || name === target).map((name) => ({
    target: name,
    ...(isStacked ? STACKED_VERDICT : TARGETS[name].check(config)),
  }));
}
