/**
 * The trainer as a module of an application: what it is made of, each part replaceable by another
 * binding.
 */
import {
  createTrainEventBus,
  token,
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

export const EVENT_BUS = token<TrainEventBus>('the event bus');
export const CLOCK = token<Clock>('the clock');
export const CHECKPOINT_STORE = token<CheckpointStore>('the checkpoint store');
/** Names every random stream: data order, dropout, fresh weights. */
export const RANDOM_SEED = token<number>('the random seed');
export const ENGINE = token<Engine>('the engine');
/** `train` with bus, clock, store and seed of the application. */
export const TRAINER = token<Trainer>('the trainer');

export type Trainer = <B extends ModelBatch>(request: TrainRequest<B>) => Promise<TrainResult>;

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
 * Binds {@link EVENT_BUS}, {@link CLOCK}, {@link CHECKPOINT_STORE}, {@link RANDOM_SEED}, {@link
 * ENGINE} and {@link TRAINER}. Replace one with `override((bind) => bind(CLOCK, () => mine))`.
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
    bind(RANDOM_SEED, () => options.seed ?? 0);
    bind(ENGINE, options.engine);
    bind(
      TRAINER,
      ({ get }): Trainer =>
        (request) =>
          train({
            bus: get(EVENT_BUS),
            clock: get(CLOCK),
            store: get(CHECKPOINT_STORE),
            ...request,
            options: { seed: get(RANDOM_SEED), ...request.options },
          }),
    );
  };
}
