/** How long texts may be for a model. */
import { maximumTextLength } from '@peft/data';
import type { TaskTools } from './predictor-task.js';

type Bounds = Pick<TaskTools, 'base' | 'settings'>;

/** Tokens of a text at most: `max_text_len`, or what the model bears. */
export const textLength = ({ base: { config, tokenizer }, settings }: Bounds): number =>
  maximumTextLength(settings['model.hf_text.max_text_len'], config, tokenizer.modelMaxLength);

/** Tokens of a text that the model bears; Infinity where nothing bounds them. */
export const modelLength = ({ base: { config, tokenizer } }: Pick<Bounds, 'base'>): number =>
  maximumTextLength(undefined, config, tokenizer.modelMaxLength);
