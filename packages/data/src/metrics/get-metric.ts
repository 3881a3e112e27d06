/** Finds metrics by name. */
import { didYouMean, PeftError, show } from '@peft/errors';
import type { ProblemType } from '../columns/problem-type.js';
import {
  accuracy,
  balancedAccuracy,
  f1Metrics,
  matthewsCorrelation,
  precisionMetrics,
  recallMetrics,
} from './classes/class-metrics.js';
import { logLoss } from './classes/log-loss.js';
import type { Metric } from './metric.js';
import { multiclassRocAucMetrics, rocAuc } from './classes/roc-auc.js';
import {
  meanAbsoluteError,
  meanSquaredError,
  medianAbsoluteError,
  pearson,
  r2,
  rootMeanSquaredError,
  spearman,
} from './value-metrics.js';

/**
 * All metrics of this package. Others are joined by passing `[...METRICS, mine]` to `getMetric`.
 */
export const METRICS: readonly Metric[] = Object.freeze([
  accuracy,
  balancedAccuracy,
  matthewsCorrelation,
  ...f1Metrics,
  ...precisionMetrics,
  ...recallMetrics,
  rocAuc,
  ...multiclassRocAucMetrics,
  logLoss,
  rootMeanSquaredError,
  meanSquaredError,
  meanAbsoluteError,
  medianAbsoluteError,
  r2,
  spearman,
  pearson,
]);

/**
 * The metric of a name.
 * @param name of the metric or one of its aliases, such as `acc`; case and dashes do not matter.
 * @throws PEFT_METRIC_UNKNOWN naming the nearest.
 */
export function getMetric(name: string, metrics: readonly Metric[] = METRICS): Metric {
  const plain = name.toLowerCase().replaceAll('-', '_');
  const found = metrics.find((metric) => metric.name === plain || metric.aliases?.includes(plain));
  if (found) return found;
  const names = metrics.map((metric) => metric.name);
  const aliases = metrics.flatMap((metric) => metric.aliases ?? []);
  const near = didYouMean(plain, [...names, ...aliases]);
  throw new PeftError('PEFT_METRIC_UNKNOWN', `data: there is no metric ${show(name)}.`, {
    hint: `${near} Metrics: ${names.join(', ')}.`.trim(),
  });
}

const DEFAULT_METRICS: Readonly<Record<ProblemType, Metric>> = {
  binary: rocAuc,
  multiclass: accuracy,
  regression: rootMeanSquaredError,
};

/**
 * AutoGluon's choice: `roc_auc` for two classes, `accuracy` for more, `root_mean_squared_error` for
 * numbers.
 */
export function defaultMetric(problemType: ProblemType): Metric {
  return DEFAULT_METRICS[problemType];
}
