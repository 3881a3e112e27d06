/** The method that the settings name. */
import type { App, MethodSpec } from '@peft/core';
import { AUTOGLUON_FILTER } from './autogluon-methods.js';
import type { Hyperparameters } from '../settings/hyperparameters.js';
import { NAMED_METHOD } from '../predictor-module.js';
import type { TaskName } from '../tasks/task-names.js';

/** @throws PEFT_CONFIG_INVALID with the nearest name */
export function namedMethod(app: App, settings: Hyperparameters, task?: TaskName): MethodSpec {
  const filter = settings['optim.lora.filter'];
  return app.get(NAMED_METHOD)(
    settings['optim.peft'],
    {
      rank: settings['optim.lora.r'],
      alpha: settings['optim.lora.alpha'],
      ...(filter.join() !== AUTOGLUON_FILTER.join() && { filter }),
      moduleFilter: settings['optim.lora.module_filter'],
    },
    task,
  );
}
