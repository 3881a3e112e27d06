/** The settings that a fit goes by: defaults, presets and what the user gave. */
import { didYouMean, PeftError } from '@peft/errors';
import type { TaskName } from '../tasks/task-names.js';
import { checkedValues, isInputList, type HyperparameterInput } from './hyperparameter-input.js';
import { PRESETS, TASK_DEFAULTS, type PresetName } from './presets.js';
import { HYPERPARAMETER_KEYS, SETTINGS } from './setting-table.js';
import type { Hyperparameters } from './hyperparameter-types.js';

/**
 * Defaults, then the task's, then the preset's, then the given values, checked.
 * @param inputs later ones win.
 * @throws PEFT_PRESET_UNKNOWN, PEFT_HYPERPARAMETER_UNKNOWN with the nearest key,
 *   PEFT_HYPERPARAMETER_INVALID, PEFT_HYPERPARAMETER_TWICE
 */
export function resolveHyperparameters(
  inputs: HyperparameterInput | readonly HyperparameterInput[] = {},
  preset: PresetName = 'default',
  task?: TaskName,
): Hyperparameters {
  if (!Object.hasOwn(PRESETS, preset))
    throw new PeftError(
      'PEFT_PRESET_UNKNOWN',
      `presets: ${JSON.stringify(preset)} is not one of ${Object.keys(PRESETS).join(', ')}.`,
      { hint: didYouMean(preset, Object.keys(PRESETS)) },
    );
  // each key of the table is a setting, and its default passes its own check
  const defaults = Object.fromEntries(
    HYPERPARAMETER_KEYS.map((key) => [key, SETTINGS[key].default]),
  ) as Partial<Hyperparameters>;
  return overrideHyperparameters(
    {
      ...defaults,
      ...(task && TASK_DEFAULTS[task]),
      ...PRESETS[preset],
    } as Hyperparameters,
    inputs,
  );
}

/** Settings with some of them replaced, checked. @throws as {@link resolveHyperparameters} */
export function overrideHyperparameters(
  settings: Hyperparameters,
  inputs: HyperparameterInput | readonly HyperparameterInput[],
): Hyperparameters {
  const list = isInputList(inputs) ? inputs : [inputs];
  return Object.freeze(
    Object.assign({ ...settings }, ...list.map(checkedValues)) as Hyperparameters,
  );
}
