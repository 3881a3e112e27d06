/**
 * Metrics of rows with any number of labels, as scikit-learn computes them on label indicators:
 * F1, precision and recall over all decisions (`micro`), as the mean over labels (`macro`) or over
 * rows (`samples`); the share of wrong decisions; the share of rows that are wholly right. 0/0
 * counts as 0.
 */
import { averagePrecisionMetrics } from './average-precision.js';
import { checkLabelSets, type LabelSetInput, type LabelSetMetric } from './label-set-metric.js';

/** Right positives, predicted positives and positives of a group of decisions. */
interface Counts {
  correct: number;
  predicted: number;
  support: number;
}

/** What the ratio of a group of decisions is taken over. */
const AVERAGES = ['micro', 'macro', 'samples'] as const;
type Average = (typeof AVERAGES)[number];

/** Counts by group: all decisions are one group, those of each label, or those of each row. */
function countsOf(name: string, input: LabelSetInput, average: Average): Counts[] {
  const rows = checkLabelSets(name, input);
  const { labelCount, labels, predictions } = input;
  const sizes = { micro: 1, macro: labelCount, samples: rows };
  const groups = Array.from({ length: sizes[average] }, () => ({
    correct: 0,
    predicted: 0,
    support: 0,
  }));
  const groupOf = {
    micro: () => 0,
    macro: (i: number) => i % labelCount,
    samples: (i: number) => Math.floor(i / labelCount),
  }[average];
  for (let i = 0; i < labels.length; i += 1) {
    const group = groups[groupOf(i)]!;
    group.correct += labels[i]! * predictions[i]!;
    group.predicted += predictions[i]!;
    group.support += labels[i]!;
  }
  return groups;
}

const averaged = (
  name: string,
  ratio: (counts: Counts) => readonly [numerator: number, denominator: number],
): LabelSetMetric[] =>
  AVERAGES.map((average) => {
    const full = `${name}_${average}`;
    return Object.freeze<LabelSetMetric>({
      name: full,
      greaterIsBetter: true,
      optimum: 1,
      compute(input) {
        const ratios = countsOf(full, input, average).map((counts) => {
          const [numerator, denominator] = ratio(counts);
          return denominator === 0 ? 0 : numerator / denominator;
        });
        return ratios.reduce((sum, value) => sum + value, 0) / ratios.length;
      },
    });
  });

/** Wrong decisions / all decisions; 0 is best. */
const hammingLoss: LabelSetMetric = Object.freeze<LabelSetMetric>({
  name: 'hamming_loss',
  greaterIsBetter: false,
  optimum: 0,
  compute(input) {
    checkLabelSets('hamming_loss', input);
    const { labels, predictions } = input;
    let wrong = 0;
    for (let i = 0; i < labels.length; i += 1) if (labels[i] !== predictions[i]) wrong += 1;
    return wrong / labels.length;
  },
});

/** Rows whose labels are all right and that have no other / rows. */
const subsetAccuracy: LabelSetMetric = Object.freeze<LabelSetMetric>({
  name: 'subset_accuracy',
  aliases: ['accuracy', 'acc'],
  greaterIsBetter: true,
  optimum: 1,
  compute(input) {
    const rows = checkLabelSets('subset_accuracy', input);
    const { labelCount, labels, predictions } = input;
    let right = 0;
    for (let row = 0; row < rows; row += 1) {
      let c = 0;
      while (c < labelCount && labels[row * labelCount + c] === predictions[row * labelCount + c])
        c += 1;
      if (c === labelCount) right += 1;
    }
    return right / rows;
  },
});

/** All metrics of sets of labels. */
export const LABEL_SET_METRICS: readonly LabelSetMetric[] = Object.freeze([
  ...averaged('f1', ({ correct, predicted, support }) => [2 * correct, predicted + support]),
  ...averaged('precision', ({ correct, predicted }) => [correct, predicted]),
  ...averaged('recall', ({ correct, support }) => [correct, support]),
  ...averagePrecisionMetrics,
  hammingLoss,
  subsetAccuracy,
]);
