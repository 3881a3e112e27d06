/** Part of the predictions that are a reference, blanks around both left aside. */
import type { TextMetric } from './text-metric.js';
import { textPairs } from './text-pairs.js';

/** Predictions equal to a reference / predictions, 0 to 1, blanks around both left aside. */
export const exactMatch: TextMetric = Object.freeze<TextMetric>({
  name: 'exact_match',
  aliases: ['em'],
  greaterIsBetter: true,
  optimum: 1,
  compute(predictions, references) {
    const pairs = textPairs('exact_match', predictions, references);
    return (
      pairs.filter(({ prediction, references: own }) =>
        own.some((reference) => reference.trim() === prediction.trim()),
      ).length / pairs.length
    );
  },
});
