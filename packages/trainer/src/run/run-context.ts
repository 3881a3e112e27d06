/** What the parts of a running training share. */
import type { Tensor } from '@tensorflow/tfjs';
import type {
  Collective,
  Model,
  ModelBatch,
  OwnedParameter,
  TrainEvent,
  TrainEventBus,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import type {
  LearningRateSchedule,
  Optimizer,
  OptimizerState,
  ParameterGroup,
  StateStore,
  TrainableParameter,
} from '@peft/optim';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import type { Clock } from './clock.js';
import type { Evaluate } from '../validation/evaluation.js';
import type { GradientExchange } from '../ranks/exchange-gradients.js';
import type { StopAgreement } from '../ranks/stop-agreement.js';
import type { GradientAccumulator } from '../step/gradient-accumulator.js';
import type { MemoryWatch } from './run-memory.js';
import type { RunSettings } from './run-settings.js';
import type { RunState } from '../checkpoints/run-state.js';
import type { Task } from '../tasks/task.js';
import type { ResolvedOptions, TrainOptions } from './train-options.js';
import type { BatchOrder, TrainingData } from '../validation/training-data.js';

/** Everything that a run is made of. */
export interface TrainRequest<B extends ModelBatch = ModelBatch> {
  /** With the adapters to train active. */
  readonly model: Model;
  readonly task: Task<B>;
  readonly data: TrainingData<B>;
  /** Which examples make each step. */
  readonly order: BatchOrder;
  readonly optimizer: Optimizer;
  readonly schedule: LearningRateSchedule;
  /**
   * Where the optimiser's state lives (`pagedStateStore` of @peft/optim, say); the run disposes it.
   * Default: memory; on an engine whose memory is a device's that device, where the optimiser can
   * compute there.
   */
  readonly stateStore?: StateStore;
  /**
   * Each parameter's share of the learning rate and its weight decay. Default: the plain rate, no
   * decay.
   */
  readonly group?: (parameter: OwnedParameter) => ParameterGroup;
  readonly options?: TrainOptions;
  /** Where events go. */
  readonly bus?: TrainEventBus;
  /** Aborting it ends the run after the present micro-batch, with a checkpoint to resume from. */
  readonly signal?: AbortSignal;
  /** Default: none, or memory when the best checkpoints are needed at the end. */
  readonly store?: CheckpointStore;
  /** Scores the model for `options.validation`. */
  readonly evaluate?: Evaluate;
  readonly clock?: Clock;
  /**
   * The processes that share each step's micro-batches; all of them call `train` with the same
   * model, data and settings and end with the same bytes, those of one process. Rank 0's bus, store
   * and evaluation are used. Default: this one alone.
   */
  readonly collective?: Collective;
  /** Names the run in its events. Default: random. */
  readonly runId?: string;
}

/** A parameter of an active adapter under a name that is its own in the run: `<adapter>/<name>`. */
export interface KeyedParameter {
  readonly key: string;
  readonly parameter: OwnedParameter;
}

/** A running training: the request with its defaults filled, and where it is. */
export interface RunContext<B extends ModelBatch = ModelBatch> {
  readonly request: TrainRequest<B>;
  readonly options: ResolvedOptions;
  readonly model: Model;
  /**
   * All parameters of the active adapters, also those that a method keeps without training them.
   */
  readonly owned: readonly KeyedParameter[];
  readonly trainables: readonly TrainableParameter[];
  readonly optimizerState: OptimizerState;
  readonly accumulator: GradientAccumulator;
  readonly collective: Collective;
  /** With several ranks. */
  readonly exchange: GradientExchange | undefined;
  readonly stop: StopAgreement;
  readonly store: CheckpointStore | undefined;
  readonly settings: RunSettings;
  readonly clock: Clock;
  readonly memory: MemoryWatch;
  /** When this call of `train` began. */
  readonly startedAtMs: number;
  emit(event: EventBody): void;
  state: RunState;
  /** The step of the newest checkpoint that this call wrote or read. */
  savedStep: number | undefined;
  /** Losses of the steps that this call did in the present epoch. */
  epochLosses: number[];
}

type WithoutBase<E> = E extends TrainEvent ? Omit<E, 'runId' | 'atMs'> : never;
/** An event without what every event has. */
export type EventBody = WithoutBase<TrainEvent>;

/**
 * Parameters of the active adapters, in the order in which they were made.
 * @throws PEFT_TRAIN_NOTHING_TRAINABLE
 */
export function keyedParameters(model: Model): KeyedParameter[] {
  const owned = model.activeAdapters.flatMap((adapter) =>
    [...model.adapter(adapter).parameters.values()].map((parameter) => ({
      key: `${adapter}/${parameter.name}`,
      parameter,
    })),
  );
  if (!owned.some(({ parameter }) => parameter.trainable)) {
    throw new PeftError(
      'PEFT_TRAIN_NOTHING_TRAINABLE',
      `trainer: no active adapter of this ${model.description.modelType} has a trainable parameter.`,
      {
        hint: model.adapterNames.length
          ? 'activate one with model.setActiveAdapters(...)'
          : "add one first, for instance model.addAdapter('default', ia3())",
      },
    );
  }
  return owned;
}

/** Keys of the parameters that hold a NaN or an infinity. */
export async function nonFiniteKeys(owned: readonly KeyedParameter[]): Promise<string[]> {
  const found = await Promise.all(
    owned.map(async ({ parameter }) => {
      const values = await parameter.value.data<'float32'>();
      return !values.every((value) => Number.isFinite(value));
    }),
  );
  return owned.filter((_, i) => found[i]).map(({ key }) => key);
}

/** A copy of a parameter's values, to be written or compared. */
export const valuesOf = async (tensor: Tensor): Promise<Float32Array> =>
  (await tensor.data<'float32'>()).slice();
