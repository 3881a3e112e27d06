/** How long texts may be for a model. */
import { maximumTextLength } from '@peft/data';
import { PeftError } from '@peft/errors';
import type { TaskTools } from './predictor-task.js';

type Bounds = Pick<TaskTools, 'base' | 'settings'>;

/** Tokens of a text at most: `max_text_len`, or what the model bears. */
export const textLength = ({ base, settings }: Bounds): number =>
  Math.min(settings['model.hf_text.max_text_len'], modelLength({ base }));

/**
 * Tokens of a text that the model bears beside the adapter's virtual ones; Infinity where nothing
 * bounds them.
 * @throws PEFT_PROMPT_LENGTH when virtual tokens leave no position
 */
export function modelLength({
  base: { config, tokenizer, virtualTokens = 0 },
}: Pick<Bounds, 'base'>): number {
  const positions = maximumTextLength(undefined, config, Infinity);
  if (virtualTokens > 0 && positions - virtualTokens < 2)
    throw new PeftError(
      'PEFT_PROMPT_LENGTH',
      `predictor: ${virtualTokens} virtual tokens leave no room for texts: the model has ${positions} positions.`,
      { hint: 'choose fewer of them (--option virtualTokens=N)' },
    );
  return Math.min(
    maximumTextLength(undefined, config, tokenizer.modelMaxLength),
    positions - virtualTokens,
  );
}
