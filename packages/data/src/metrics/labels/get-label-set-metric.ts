/** Finds metrics of sets of labels by name. */
import { didYouMean, PeftError, show } from '@peft/errors';
import type { LabelSetMetric } from './label-set-metric.js';
import { LABEL_SET_METRICS } from './label-set-metrics.js';

/**
 * The metric of a name or one of its aliases; case and dashes do not matter.
 * @throws PEFT_METRIC_UNKNOWN naming the nearest
 */
export function getLabelSetMetric(name: string): LabelSetMetric {
  const plain = name.toLowerCase().replaceAll('-', '_');
  const found = LABEL_SET_METRICS.find(
    (metric) => metric.name === plain || metric.aliases?.includes(plain),
  );
  if (found) return found;
  const names = LABEL_SET_METRICS.map((metric) => metric.name);
  throw new PeftError(
    'PEFT_METRIC_UNKNOWN',
    `data: rows of several labels have no metric ${show(name)}.`,
    {
      hint: `${didYouMean(plain, names)} Metrics: ${names.join(', ')}.`.trim(),
    },
  );
}
