/** How a fit went, as its caller reads it. */
import type { Model } from '@peft/core';
import type { TrainResult } from '@peft/trainer';
import type { FitSummary } from '../settings/predictor-types.js';
import type { WatchedMetric } from '../tasks/predictor-task.js';

/** Rows that were used, without those that are left out, and what they were scored by. */
export interface ScoredRows {
  readonly metric: WatchedMetric;
  readonly trainingRows: number;
  readonly validationRows: number;
}

/** The summary of a run that ended. */
export function summaryOf(
  result: TrainResult,
  score: number,
  { metric, trainingRows, validationRows }: ScoredRows,
  model: Model,
  method: string,
  trainingSeconds: number,
): FitSummary {
  const { trainable, total } = model.parameterCounts();
  return Object.freeze({
    metric: metric.name,
    validationScore: score,
    trainingLoss: result.loss,
    trainingSeconds,
    steps: result.step,
    reason: result.reason as FitSummary['reason'],
    averagedSteps: result.selected.steps,
    trainingRows,
    validationRows,
    peakMemoryBytes: result.peakMemoryBytes,
    method,
    engine: `${model.engine.name} (${model.engine.precision})`,
    trainableParameters: trainable,
    totalParameters: total,
  });
}
