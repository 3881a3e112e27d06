/** The engine that the settings ask for. */
import type { App } from '@peft/core';
import type { Engine } from '@peft/ops';
import type { EventBody } from '../model/base-model.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import { ENGINE_CHOOSER } from '../predictor-module.js';

/**
 * Makes and activates it; a fallback is one `run/warned`. The caller disposes.
 * @throws PEFT_ENGINE_UNAVAILABLE
 */
export async function startEngine(
  app: App,
  settings: Hyperparameters,
  emit: (event: EventBody) => void,
): Promise<Engine> {
  const precision = ({ auto: undefined, '32': 'float32', bf16: 'bfloat16' } as const)[
    settings['env.precision']
  ];
  const threads = settings['env.num_threads'];
  const { engine, warning } = await app.get(ENGINE_CHOOSER)({
    name: settings['env.engine'],
    precision,
    threads: threads > 0 ? threads : undefined,
  });
  if (warning) emit({ type: 'run/warned', ...warning });
  return engine;
}
