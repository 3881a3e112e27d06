/** A saved task with rewards, which are functions and not saved with it. */
import { PeftError } from '@peft/errors';
import type { Reward } from '@peft/preference';
import type { PredictorTask } from '../predictor-task.js';

/** @throws PEFT_CONFIG_INVALID for rewards of a task that none judges */
export function judgedBy(task: PredictorTask, rewards: readonly Reward[] = []): PredictorTask {
  if (rewards.length === 0) return task;
  if (task.judgedBy) return task.judgedBy(rewards);
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `predictor: ${task.name} is judged by no rewards, and ${rewards.length} were given.`,
    { hint: 'leave them out; rewards judge what a model of grpo writes' },
  );
}
