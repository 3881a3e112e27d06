/** Finds metrics of texts by name. */
import { didYouMean, PeftError, show } from '@peft/errors';
import { bleu } from './bleu.js';
import { exactMatch } from './exact-match.js';
import { rougeMetrics } from './rouge.js';
import type { TextMetric } from './text-metric.js';

/**
 * All of this package. Others are joined by passing `[...TEXT_METRICS, mine]` to `getTextMetric`.
 */
export const TEXT_METRICS: readonly TextMetric[] = Object.freeze([
  exactMatch,
  ...rougeMetrics,
  bleu,
]);

/**
 * The metric of texts of a name.
 * @param name of the metric or one of its aliases; case and dashes do not matter.
 * @throws PEFT_METRIC_UNKNOWN naming the nearest.
 */
export function getTextMetric(
  name: string,
  metrics: readonly TextMetric[] = TEXT_METRICS,
): TextMetric {
  const plain = name.toLowerCase().replaceAll('-', '_');
  const found = metrics.find(
    (metric) => metric.name.toLowerCase() === plain || metric.aliases?.includes(plain),
  );
  if (found) return found;
  const names = metrics.map((metric) => metric.name);
  throw new PeftError('PEFT_METRIC_UNKNOWN', `data: there is no metric of texts ${show(name)}.`, {
    hint: `${didYouMean(plain, names)} Metrics: ${names.join(', ')}.`.trim(),
  });
}
