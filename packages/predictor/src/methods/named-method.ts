/** The method that the settings name. */
import type { App, MethodSpec } from '@peft/core';
import { AUTOGLUON_FILTER, isAutogluonMethod } from '@peft/methods';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import { resolveHyperparameters } from '../settings/hyperparameters.js';
import { NAMED_METHOD } from '../predictor-module.js';
import type { TaskName } from '../tasks/task-names.js';

/** @throws PEFT_METHOD_UNKNOWN with the nearest name; PEFT_CONFIG_INVALID */
export function namedMethod(app: App, settings: Hyperparameters, task?: TaskName): MethodSpec {
  const value = settings['optim.peft'];
  const defaults = resolveHyperparameters();
  // AutoGluon's sizes are for its own values; another method has defaults of its own
  const size = (key: 'optim.lora.r' | 'optim.lora.alpha'): number | undefined =>
    (value !== null && isAutogluonMethod(value)) || settings[key] !== defaults[key]
      ? settings[key]
      : undefined;
  const filter = settings['optim.lora.filter'];
  return app.get(NAMED_METHOD)(
    value,
    {
      rank: size('optim.lora.r'),
      alpha: size('optim.lora.alpha'),
      filter: filter.join() === AUTOGLUON_FILTER.join() ? undefined : filter,
      moduleFilter: settings['optim.lora.module_filter'],
      familyTargets: settings['optim.lora.family_targets'],
    },
    task,
  );
}
