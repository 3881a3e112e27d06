/**
 * Opens what a reference names, for use and for export: a folder that a predictor saved, or a
 * checkpoint with an adapter if wanted.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compose, loadAdapter, override, type App, type HeadOptions, type Model } from '@peft/core';
import { PeftError } from '@peft/errors';
import type { Engine } from '@peft/ops';
import { CLOCK, EVENT_BUS } from '@peft/trainer';
import { startEngine } from '../engine/start-engine.js';
import { adapterPlaces } from '../fit/start-adapter.js';
import { readPredictor, type ReadPredictorOptions } from '../folder/load-predictor.js';
import { RECORD_FILE } from '../folder/predictor-folder.js';
import {
  ADAPTER_METHODS,
  ARCHITECTURES,
  MODEL_RESOLVER,
  predictorModule,
} from '../predictor-module.js';
import { overrideHyperparameters, resolveHyperparameters } from '../settings/hyperparameters.js';
import type { LoadOptions } from '../settings/predictor-types.js';
import {
  describeBase,
  loadBaseModel,
  openBaseModel,
  type BaseModel,
  type EventBody,
} from './base-model.js';
import { ADAPTER, type PredictorState } from './predictor-state.js';
import { trainedValuesOf } from './trained-values.js';

/** What opening needs: the parts, and where to tell what happens. */
export interface OpeningTools {
  readonly app: App;
  readonly emit: (event: EventBody) => void;
}

/**
 * Composes the parts, listens to them, and opens with them. What is made owns the app; when opening
 * fails the app is disposed.
 */
export async function opening<T>(
  { modules = [], onEvent, onListenerError }: LoadOptions,
  open: (tools: OpeningTools) => Promise<T>,
): Promise<T> {
  const app = compose(predictorModule(onListenerError), ...modules.map(override));
  if (onEvent) app.get(EVENT_BUS).listen(onEvent);
  const runId = randomUUID();
  const emit = (event: EventBody): void =>
    app.get(EVENT_BUS).emit({ runId, atMs: app.get(CLOCK).now(), ...event });
  try {
    return await open({ app, emit });
  } catch (error) {
    app.dispose();
    throw error;
  }
}

/** Whether `fit` or `save` wrote the folder. */
export const isSavedPredictor = (reference: string): boolean =>
  existsSync(join(reference, RECORD_FILE));

/** @throws PEFT_CONFIG_INVALID for an adapter beside its own, and what `readPredictor` throws */
export function openSaved(
  path: string,
  { adapter, ...options }: ReadPredictorOptions & { readonly adapter?: string | undefined },
  { app, emit }: OpeningTools,
): Promise<PredictorState> {
  if (adapter !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: ${path} was saved with an adapter of its own, so that ${adapter} cannot be put on it.`,
      { hint: 'give the base model with the adapter, or the saved folder alone' },
    );
  return readPredictor(path, app, emit, options);
}

export interface OpenedCheckpoint {
  readonly model: Model;
  readonly engine: Engine;
  readonly base: BaseModel;
  /** Of the adapter; undefined without one. */
  readonly method: string | undefined;
}

/**
 * @param headOf the head that a base gets.
 * @throws what opening models and adapters throws; nothing stays allocated then
 */
export async function openCheckpoint(
  reference: string,
  {
    adapter,
    revision,
    engine: name = 'auto',
    precision = 'auto',
    threads = 0,
    signal,
    alsoFor,
    isStreamed,
  }: Pick<LoadOptions, 'engine' | 'precision' | 'threads' | 'signal'> & {
    readonly adapter?: string | undefined;
    readonly revision?: string | undefined;
    /** Folders of adapters that the model is to take later. */
    readonly alsoFor?: readonly string[] | undefined;
    /** The base's weights stay in their files. */
    readonly isStreamed?: boolean;
  },
  headOf: (base: BaseModel) => HeadOptions,
  { app, emit }: OpeningTools,
): Promise<OpenedCheckpoint> {
  const places = adapter === undefined ? undefined : adapterPlaces(adapter);
  const base = await openBaseModel(reference, {
    resolver: app.get(MODEL_RESOLVER),
    architectures: app.get(ARCHITECTURES),
    revision,
    vocabulary: { ...places, alsoFor: alsoFor?.map(adapterPlaces) },
    emit,
    signal,
  });
  const settings = overrideHyperparameters(resolveHyperparameters(), [
    { 'env.engine': name, 'env.precision': precision, 'env.num_threads': threads },
  ]);
  const engine = await startEngine(app, settings, emit);
  let model: Model | undefined;
  try {
    const head = headOf(base);
    const trained = places && trainedValuesOf(places.adapter, describeBase(base, head), app);
    const { quantization } = trained ?? {};
    model = loadBaseModel(base, engine, { head, seed: 0, quantization, isStreamed, emit });
    if (!places) return { model, engine, base, method: undefined };
    const { adapter: loaded, warnings } = await loadAdapter(model, places.adapter, {
      name: ADAPTER,
      methods: app.get(ADAPTER_METHODS),
    });
    for (const message of warnings)
      emit({ type: 'run/warned', code: 'PEFT_ADAPTER_CONFIG', message });
    return { model, engine, base, method: loaded.spec.name };
  } catch (error) {
    model?.dispose();
    engine.dispose();
    throw error;
  }
}
