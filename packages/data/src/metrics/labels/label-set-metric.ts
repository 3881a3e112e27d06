/** What a metric of rows with any number of labels is. */
import { PeftError } from '@peft/errors';

/** Which of C labels n rows have, and which they are predicted to have. */
export interface LabelSetInput {
  /** C. */
  readonly labelCount: number;
  /** 1 where the row has the label, else 0 `[n, C]`. */
  readonly labels: ArrayLike<number>;
  /** 1 where the row is predicted to have it `[n, C]`. */
  readonly predictions: ArrayLike<number>;
  /** Of each label in each row `[n, C]`. */
  readonly probabilities: ArrayLike<number>;
}

/** A named score of sets of labels, with the direction that is better. */
export interface LabelSetMetric {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly greaterIsBetter: boolean;
  readonly optimum: number;
  /** @throws PEFT_METRIC_INPUT_INVALID for lengths or values that do not fit */
  compute(input: LabelSetInput): number;
}

/** Checks lengths and values; @returns n. */
export function checkLabelSets(
  name: string,
  { labelCount, labels, predictions, probabilities }: LabelSetInput,
): number {
  const fail = (what: string): PeftError =>
    new PeftError('PEFT_METRIC_INPUT_INVALID', `data: ${name}: ${what}`);
  if (labels.length === 0) throw fail('there are no rows.');
  if (!Number.isInteger(labels.length / labelCount))
    throw fail(`${labels.length} values are no rows of ${labelCount} labels.`);
  if (predictions.length !== labels.length || probabilities.length !== labels.length)
    throw fail(
      `${labels.length} labels, ${predictions.length} predictions and ` +
        `${probabilities.length} probabilities do not go together.`,
    );
  for (let i = 0; i < labels.length; i += 1) {
    for (const value of [labels[i]!, predictions[i]!])
      if (value !== 0 && value !== 1)
        throw fail(`label or prediction ${i} is ${value}, not 0 or 1.`);
    if (!Number.isFinite(probabilities[i]!)) throw fail(`probability ${i} is ${probabilities[i]}.`);
  }
  return labels.length / labelCount;
}
