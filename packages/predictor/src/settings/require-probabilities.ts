/** Which problems have probabilities to predict. */
import { PeftError } from '@peft/errors';
import type { PredictorTask } from '../tasks/predictor-task.js';

/**
 * @returns the task's probabilities, and what is made of a row of them.
 * @throws PEFT_PROBLEM_TYPE for numbers and for tasks without probabilities, and for `asMulticlass:
 *   false` without a positive class
 */
export function requireProbabilities(
  task: PredictorTask,
  asMulticlass: boolean | undefined,
): {
  readonly probabilities: NonNullable<PredictorTask['probabilities']>;
  readonly shown: (row: Float64Array) => Float64Array | number;
} {
  const { problem, probabilities, name } = task;
  if (problem?.type === 'regression')
    throw new PeftError(
      'PEFT_PROBLEM_TYPE',
      'predictor: a regression predicts numbers, which have no probabilities.',
      { hint: 'use predict' },
    );
  if (!probabilities)
    throw new PeftError('PEFT_PROBLEM_TYPE', `predictor: ${name} has no probabilities.`, {
      hint: 'use predict',
    });
  const positiveClass = problem?.positiveClass;
  if (asMulticlass === false && positiveClass === undefined)
    throw new PeftError(
      'PEFT_PROBLEM_TYPE',
      'predictor: asMulticlass: false needs two classes or a positive one, there are ' +
        `${task.classes!.length}${problem ? '' : ', of which a row may have any'}.`,
      { hint: problem ? 'leave it out, or set data.pos_label' : 'leave it out' },
    );
  return {
    probabilities,
    shown: (row) => (asMulticlass === false ? row[positiveClass!]! : row),
  };
}
