/** What a metric of texts is: predictions against one or more references each. */
import { didYouMean, PeftError, show } from '@peft/errors';
import { bleu } from './bleu.js';
import { exactMatch } from './exact-match.js';
import { rougeMetrics } from './rouge.js';

/** One text, or several of which any will do. */
export type References = string | readonly string[];

export interface TextMetric {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly greaterIsBetter: boolean;
  /** The best value there is. */
  readonly optimum: number;
  /**
   * @throws PEFT_METRIC_INPUT_INVALID unless each prediction has references, and there is at least
   *   one.
   */
  compute(predictions: readonly string[], references: readonly References[]): number;
}

/**
 * All of this package. Others are joined by passing `[...TEXT_METRICS, mine]` to `getTextMetric`.
 */
export const TEXT_METRICS: readonly TextMetric[] = Object.freeze([
  exactMatch,
  ...rougeMetrics,
  bleu,
]);

/**
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
