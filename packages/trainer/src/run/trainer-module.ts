/**
 * The trainer as a module of an application: what it is made of, each part replaceable by another
 * binding.
 */
import {
  createTrainEventBus,
  SINGLE_RANK,
  token,
  type Collective,
  type Module,
  type ModelBatch,
  type TrainEventBus,
} from '@peft/core';
import type { Engine } from '@peft/ops';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { systemClock, type Clock } from './clock.js';
import { folderCheckpointStore } from '../checkpoints/folder-checkpoint-store.js';
import { memoryCheckpointStore } from '../checkpoints/memory-checkpoint-store.js';
import type { TrainRequest } from './run-context.js';
import { train, type TrainResult } from './train.js';

/** Where the events of the application's runs go. */
export const EVENT_BUS = token<TrainEventBus>('the event bus');
/** What tells the time. */
export const CLOCK = token<Clock>('the clock');
/** Where checkpoints go. */
export const CHECKPOINT_STORE = token<CheckpointStore>('the checkpoint store');
/** The ranks that share each run. */
export const COLLECTIVE = token<Collective>('the ranks');
/** Names every random stream: data order, dropout, fresh weights. */
export const RANDOM_SEED = token<number>('the random seed');
/** What computes; models are loaded with it. */
export const ENGINE = token<Engine>('the engine');
/** `train` with bus, clock, store and seed of the application. */
export const TRAINER = token<Trainer>('the trainer');

/** `train`, with what the application binds filled in where a request leaves it out. */
export type Trainer = <B extends ModelBatch>(request: TrainRequest<B>) => Promise<TrainResult>;

/** What {@link trainerModule} binds. */
export interface TrainerModuleOptions {
  /** The engine that models are loaded with; the application disposes it. */
  readonly engine: () => Engine;
  /** Where checkpoints go. Default: memory. */
  readonly checkpointFolder?: string;
  /** Default 0. */
  readonly seed?: number;
  /** Told of what a listener threw. */
  readonly onListenerError?: (error: unknown) => void;
}

/**
 * Binds {@link EVENT_BUS}, {@link CLOCK}, {@link CHECKPOINT_STORE}, {@link COLLECTIVE}, {@link
 * RANDOM_SEED}, {@link ENGINE} and {@link TRAINER}. Replace one with `override((bind) => bind(CLOCK, () => mine))`.
 */
export function trainerModule(options: TrainerModuleOptions): Module {
  return (bind) => {
    bind(EVENT_BUS, () => createTrainEventBus(options.onListenerError));
    bind(CLOCK, () => systemClock);
    bind(CHECKPOINT_STORE, () =>
      options.checkpointFolder === undefined
        ? memoryCheckpointStore()
        : folderCheckpointStore(options.checkpointFolder),
    );
    bind(COLLECTIVE, () => SINGLE_RANK);
    bind(RANDOM_SEED, () => options.seed ?? 0);
    bind(ENGINE, options.engine);
    bind(
      TRAINER,
      ({ get }): Trainer =>
        (request) =>
          train({
            ...request,
            // what is given as undefined is not given
            bus: request.bus ?? get(EVENT_BUS),
            clock: request.clock ?? get(CLOCK),
            store: request.store ?? get(CHECKPOINT_STORE),
            collective: request.collective ?? get(COLLECTIVE),
            options: { ...request.options, seed: request.options?.seed ?? get(RANDOM_SEED) },
          }),
    );
  };
}
