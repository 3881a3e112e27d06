/** What a run of a model on several ranks cannot do. */
import { PeftError } from '@peft/errors';

/**
 * A task that runs the model before a step (a reference's log-probabilities, completions to score)
 * needs all of it in one process.
 * @throws PEFT_STAGE_UNSUPPORTED
 */
export function requireStageTask(
  stages: number,
  task: { readonly name: string; readonly prepare?: unknown },
): void {
  if (stages > 1 && task.prepare !== undefined) throw stageTaskError(task.name);
}

export const stageTaskError = (name: string): PeftError =>
  new PeftError(
    'PEFT_STAGE_UNSUPPORTED',
    `trainer: ${name} runs the model before each step, which one that is cut into stages does not.`,
    { hint: 'leave out --pipeline; ranks can share the steps without' },
  );
