/** Which problems have probabilities to predict. */
import { PeftError } from '@peft/errors';
import type { Problem } from './problem.js';

/** @throws PEFT_PROBLEM_TYPE for numbers, and for `asMulticlass: false` without a positive class */
export function requireProbabilities(problem: Problem, asMulticlass: boolean | undefined): void {
  if (problem.type === 'regression')
    throw new PeftError(
      'PEFT_PROBLEM_TYPE',
      'predictor: a regression predicts numbers, which have no probabilities.',
      { hint: 'use predict' },
    );
  if (asMulticlass === false && problem.positiveClass === undefined)
    throw new PeftError(
      'PEFT_PROBLEM_TYPE',
      `predictor: asMulticlass: false needs two classes or a positive one, there are ${problem.classes.length}.`,
      { hint: 'leave it out, or set data.pos_label' },
    );
}
