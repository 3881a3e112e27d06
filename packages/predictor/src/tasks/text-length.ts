/** How long texts may be for a model. */
import { maximumTextLength } from '@peft/data';
import type { TaskTools } from './predictor-task.js';

/** Tokens of a text at most: `max_text_len`, or what the model bears. */
export const textLength = ({
  base: { config, tokenizer },
  settings,
}: Pick<TaskTools, 'base' | 'settings'>): number =>
  maximumTextLength(settings['model.hf_text.max_text_len'], config, tokenizer.modelMaxLength);
