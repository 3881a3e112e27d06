/**
 * The text model within a model of texts and images: its config stands in `text_config`, its
 * tensors behind `language_model`.
 */
import type { ModelDescription } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import type { ConfigJson } from './config-reader.js';

/**
 * The text model's own config, under the type of the whole model.
 * @throws PEFT_MODEL_CONFIG where there is none
 */
export function nestedTextConfig(family: string, json: ConfigJson): ConfigJson {
  const text = json['text_config'];
  if (typeof text !== 'object' || text === null || Array.isArray(text))
    throw new PeftError(
      'PEFT_MODEL_CONFIG',
      `${family}: config.json: text_config must be an object, got ${show(text)}.`,
      { hint: 'a model of texts and images has the config of its text model there' },
    );
  return { ...(text as ConfigJson), model_type: json['model_type'] };
}

/**
 * The description with the names that the tensors have in checkpoints of the whole model:
 * `language_model.model.x` (older) and `model.language_model.x`.
 */
export function withNestedNames(description: ModelDescription): ModelDescription {
  return {
    ...description,
    parameters: description.parameters.map((spec) => {
      if (spec.init && spec.name !== 'lm_head.weight') return spec; // a head of its own
      const name = spec.name.replace(/^model\./, '');
      return {
        ...spec,
        aliases: [
          ...(spec.aliases ?? []),
          ...(name === 'lm_head.weight'
            ? [`language_model.${name}`]
            : [`language_model.model.${name}`, `model.language_model.${name}`]),
        ],
      };
    }),
  };
}
