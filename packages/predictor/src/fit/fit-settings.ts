/** The settings of a fit, the first or a further one. */
import { PeftError, show } from '@peft/errors';
import type { HyperparameterInput } from '../settings/hyperparameter-input.js';
import type { HyperparameterKey, Hyperparameters } from '../settings/hyperparameter-types.js';
import { overrideHyperparameters, resolveHyperparameters } from '../settings/hyperparameters.js';
import type { FitParts } from './fit-request.js';

/** What a further fit cannot change. */
const FIXED: readonly HyperparameterKey[] = Object.freeze([
  'model.hf_text.checkpoint_name',
  'model.hf_text.revision',
  'model.hf_text.pooling_mode',
  'model.hf_text.max_text_len',
  'model.hf_text.pad_vocabulary_to_multiple_of',
  'data.added_tokens',
  'data.pos_label',
  'data.text_pairs',
  'optim.ranking_loss',
  'optim.preference_loss',
  'optim.class_weights',
  'optim.positive_weights',
  'data.label_separator',
  'data.label_threshold',
  'optim.peft',
  'optim.lora.r',
  'optim.lora.alpha',
  'optim.lora.filter',
  'optim.lora.module_filter',
  'optim.lora.family_targets',
  'model.hf_text.quantization',
  'env.engine',
  'env.precision',
]);

/**
 * What a fit is to do.
 * @throws PEFT_FIT_CHANGED where a further fit asks for another model; PEFT_HYPERPARAMETER_…
 */
export function fitSettings({ predictor, options, previous }: FitParts): Hyperparameters {
  const inputs: HyperparameterInput[] = [
    options.hyperparameters ?? {},
    options.seed === undefined ? {} : { 'env.seed': options.seed },
  ];
  const preset = options.presets ?? predictor.presets;
  if (!previous)
    return resolveHyperparameters(
      [predictor.hyperparameters ?? {}, ...inputs],
      preset,
      predictor.task,
    );
  const asked =
    options.presets === undefined
      ? overrideHyperparameters(previous.settings, inputs)
      : resolveHyperparameters(
          [predictor.hyperparameters ?? {}, ...inputs],
          preset,
          predictor.task,
        );
  const settings =
    asked['model.hf_text.quantization'] === 'auto'
      ? overrideHyperparameters(asked, {
          'model.hf_text.quantization': previous.settings['model.hf_text.quantization'],
        })
      : asked;
  const changed = FIXED.filter(
    (key) => JSON.stringify(settings[key]) !== JSON.stringify(previous.settings[key]),
  );
  const isOther = options.method ?? options.adapter ?? options.baseAdapter;
  const [key] = changed;
  if (key !== undefined)
    throw fixed(`${key} (${show(previous.settings[key])} so far, ${show(settings[key])} now)`);
  if (isOther !== undefined) throw fixed('its method');
  const { textColumns } = options;
  const own = previous.task.inputs;
  if (textColumns && JSON.stringify([...textColumns].sort()) !== JSON.stringify([...own].sort()))
    throw fixed(`its text columns (${own.join(', ')} so far, ${textColumns.join(', ')} now)`);
  return settings;
}

const fixed = (what: string): PeftError =>
  new PeftError(
    'PEFT_FIT_CHANGED',
    `predictor: a further fit goes on with the model as it is; ${what} cannot change.`,
    { hint: 'make a new PeftPredictor for it' },
  );
