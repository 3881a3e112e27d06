/** What a run of a model on several ranks cannot do. */
import type { Model } from '@peft/core';
import { PeftError } from '@peft/errors';

/** How the ranks of a run hold its model together. */
export type SharedModel = 'in stages' | 'in shards';

/**
 * A task that runs the model before a step (a reference's log-probabilities, completions to score)
 * needs all of it in one process.
 * @throws PEFT_STAGE_UNSUPPORTED, PEFT_SHARDS_UNSUPPORTED
 */
export function requireSharedTask(
  how: SharedModel | undefined,
  task: { readonly name: string; readonly prepare?: unknown },
): void {
  if (how !== undefined && task.prepare !== undefined) throw sharedTaskError(how, task.name);
}

export const sharedTaskError = (how: SharedModel, task: string): PeftError =>
  how === 'in stages'
    ? new PeftError(
        'PEFT_STAGE_UNSUPPORTED',
        `trainer: ${task} runs the model before each step, which one that is cut into stages does not.`,
        { hint: 'leave out --pipeline; ranks can share the steps without' },
      )
    : new PeftError(
        'PEFT_SHARDS_UNSUPPORTED',
        `trainer: ${task} runs the model before each step, which one whose ranks share its blocks ` +
          'does not.',
        { hint: 'leave out --shard-base; ranks can share the steps without' },
      );

export const sharedModel = ({
  stage,
  weights,
}: Pick<Model, 'stage' | 'weights'>): SharedModel | undefined =>
  stage ? 'in stages' : weights.shards && 'in shards';
