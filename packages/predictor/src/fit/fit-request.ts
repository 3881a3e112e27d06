/** What a fit is given. */
import type { RunFacts } from '@peft/trainer';
import type { App } from '@peft/core';
import type { CheckpointStore } from '@peft/trainer';
import type { EventBody } from '../model/base-model.js';
import type { PredictorState } from '../model/predictor-state.js';
import type { FitOptions, PredictorData, PredictorOptions } from '../settings/predictor-types.js';

/** A call of `fit` with what it is composed of. */
export interface FitRequest {
  readonly app: App;
  readonly predictor: PredictorOptions;
  readonly data: PredictorData;
  readonly options: FitOptions;
  /** A further fit goes on with this model. */
  readonly previous: PredictorState | undefined;
  readonly store: CheckpointStore;
  readonly runId: string;
  /** When the fit was called. */
  readonly startedAtMs: number;
  /** Told what the run is made of, before it starts. */
  readonly describe?: (facts: RunFacts) => void;
  readonly emit: (event: EventBody) => void;
}

/** What of it there is before a run begins. */
export interface FitParts extends Omit<FitRequest, 'store' | 'runId' | 'startedAtMs' | 'describe'> {
  /** Another process will train: what this one has does not count. Default false. */
  readonly isElsewhere?: boolean;
}
