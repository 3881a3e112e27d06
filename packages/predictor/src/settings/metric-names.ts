/** Names of metrics, for options that are checked by the compiler. */
import type { Metric } from '@peft/data';

/** What each kind of task is scored by, aliases among them. */
export const METRIC_NAMES = Object.freeze({
  rows: [
    'accuracy',
    'acc',
    'balanced_accuracy',
    'bac',
    'bacc',
    'mcc',
    'matthews_corrcoef',
    'f1',
    'f1_macro',
    'f1_micro',
    'f1_weighted',
    'precision',
    'precision_macro',
    'precision_micro',
    'precision_weighted',
    'recall',
    'recall_macro',
    'recall_micro',
    'recall_weighted',
    'roc_auc',
    'auc',
    'rocauc',
    'roc_auc_ovo',
    'roc_auc_ovo_macro',
    'roc_auc_ovo_weighted',
    'roc_auc_ovr',
    'roc_auc_ovr_macro',
    'roc_auc_ovr_weighted',
    'log_loss',
    'nll',
    'cross_entropy',
    'logloss',
    'root_mean_squared_error',
    'rmse',
    'mean_squared_error',
    'mse',
    'mean_absolute_error',
    'mae',
    'median_absolute_error',
    'r2',
    'r2_score',
    'spearmanr',
    'spearman',
    'pearsonr',
    'pearson',
  ],
  labelSets: [
    'f1_micro',
    'f1_macro',
    'f1_samples',
    'precision_micro',
    'precision_macro',
    'precision_samples',
    'recall_micro',
    'recall_macro',
    'recall_samples',
    'average_precision_micro',
    'average_precision_macro',
    'average_precision',
    'average_precision_samples',
    'hamming_loss',
    'subset_accuracy',
    'accuracy',
    'acc',
  ],
  texts: [
    'exact_match',
    'em',
    'rouge1',
    'rouge_1',
    'rouge2',
    'rouge_2',
    'rougeL',
    'rouge_l',
    'bleu',
    'sacrebleu',
    'perplexity',
  ],
  tags: [
    'entity_f1',
    'entity_precision',
    'entity_recall',
    'tag_accuracy',
    'f1',
    'precision',
    'recall',
    'accuracy',
  ],
  retrieval: ['mean_reciprocal_rank', 'top1'],
  rankings: ['ndcg', 'mrr', 'map'],
  preferences: ['reward_accuracy', 'reward_margin'],
} as const);

/**
 * Open map of further metrics' names: `declare module '@peft/predictor' { interface KnownMetrics {
 * error_rate: true } }`. The metric itself is bound to `PREDICTOR_METRICS`.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface KnownMetrics {}

/** Those of the first numbers of an embedding, or of the first ranks: `top1@64`, `ndcg@10`. */
type FirstName = `${'mean_reciprocal_rank' | 'top1' | 'ndcg' | 'mrr'}@${number}`;

/** A metric that some task knows. Another case or dashes: {@link uncheckedMetric}. */
export type MetricName =
  | FirstName
  | (typeof METRIC_NAMES)[keyof typeof METRIC_NAMES][number]
  | Extract<keyof KnownMetrics, string>;

declare const unchecked: unique symbol;
/** A name that the compiler does not know; it is looked up when it is used. */
export type UncheckedMetricName = string & { readonly [unchecked]: true };

/**
 * Lets a metric's name through that is known at run time alone, from a file or a command line.
 * @returns the same text
 * @example
 * await predictor.evaluate('test.csv', { metrics: uncheckedMetric(process.argv[2]!) });
 */
export const uncheckedMetric = (name: string): UncheckedMetricName =>
  // the mark is one of the type alone
  name as UncheckedMetricName;

/** A metric, or what it is called. */
export type MetricInput = MetricName | UncheckedMetricName | Metric;
