/** What a fitted predictor is made of. */
import type { Model } from '@peft/core';
import type { Engine } from '@peft/ops';
import type { BaseModel } from './base-model.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { FitSummary } from '../settings/predictor-types.js';
import type { PredictorTask, WatchedMetric } from '../tasks/predictor-task.js';

/** The adapter's name on the model and in messages. */
export const ADAPTER = 'default';

/** The adapter beneath it, where there is one. */
export const BENEATH = 'beneath';

export interface PredictorState {
  readonly engine: Engine;
  readonly model: Model;
  readonly base: BaseModel;
  readonly task: PredictorTask;
  readonly metric: WatchedMetric;
  readonly settings: Hyperparameters;
  readonly fileColumns: readonly string[] | undefined;
  /** What was trained, for instance `ia3_bias`. */
  readonly method: string;
  /** The method is what `optim.peft` says, not one given as a value. */
  readonly isNamedMethod: boolean;
  readonly summary: FitSummary;
}

export function disposeState({ model, engine }: Pick<PredictorState, 'model' | 'engine'>): void {
  model.dispose();
  engine.dispose();
}
