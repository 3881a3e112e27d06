/**
 * A model that writes, opened for use: a checkpoint with an adapter if wanted, or what a predictor
 * saved.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compose, loadAdapter, override, type App, type Model } from '@peft/core';
import { chatTemplateSource } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import { revisionOfFolder } from '@peft/hub';
import type { Engine } from '@peft/ops';
import { CLOCK, EVENT_BUS } from '@peft/trainer';
import { loadBaseModel, openBaseModel, type BaseModel, type EventBody } from './base-model.js';
import { addLanguageAdapter } from './language-adapter.js';
import { languageTexts, type LanguageTexts } from './language-texts.js';
import { overrideHyperparameters, resolveHyperparameters } from '../settings/hyperparameters.js';
import { readPredictor } from '../folder/load-predictor.js';
import { RECORD_FILE } from '../folder/predictor-folder.js';
import {
  ADAPTER_METHODS,
  ARCHITECTURES,
  MODEL_RESOLVER,
  predictorModule,
} from '../predictor-module.js';
import { adapterPlaces } from '../fit/start-adapter.js';
import { ADAPTER } from './predictor-state.js';
import type { LoadOptions } from '../settings/predictor-types.js';
import { startEngine } from '../engine/start-engine.js';

export interface LanguageModel extends LanguageTexts {
  readonly model: Model;
  /** The base model's `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The adapter that the folder came with or that was asked for, by its name on the model. */
  readonly adapter: string | undefined;
  /**
   * Puts a further adapter on the model: a folder in PEFT's layout, or one that `fit` saved for this
   * base model.
   * @returns how its texts are written: tokenizer and chat template are the adapter's own where its
   *   folder has them
   * @throws PEFT_ADAPTER_MISMATCH, PEFT_ADAPTER_NAME, and what `loadAdapter` throws
   */
  addAdapter(name: string, folder: string): Promise<LanguageTexts>;
  /** Frees model and engine. */
  dispose(): void;
}

export interface LanguageModelOptions extends Pick<
  LoadOptions,
  'engine' | 'precision' | 'threads' | 'signal' | 'onEvent' | 'modules' | 'onListenerError'
> {
  /** Folder of an adapter for the model. */
  readonly adapter?: string;
  /** Branch, tag or commit of a checkpoint on the hub, as in `NAME@REVISION`. */
  readonly revision?: string;
  /** Name or file of a chat template instead of the checkpoint's own. */
  readonly chatTemplate?: string;
}

/**
 * @param reference a folder or hub id of a checkpoint with a causal or encoder-decoder language
 *   model, or a folder that `PeftPredictor` saved.
 * @throws PEFT_MODEL_HEAD when the family writes no text, PEFT_CONFIG_INVALID, and what opening
 *   models, adapters and predictors throws; nothing stays allocated then
 */
export async function loadLanguageModel(
  reference: string,
  options: LanguageModelOptions = {},
): Promise<LanguageModel> {
  check.knownKeys('loadLanguageModel', options, [
    'engine',
    'precision',
    'threads',
    'signal',
    'onEvent',
    'modules',
    'onListenerError',
    'adapter',
    'revision',
    'chatTemplate',
  ]);
  const app = compose(
    predictorModule(options.onListenerError),
    ...(options.modules ?? []).map(override),
  );
  if (options.onEvent) app.get(EVENT_BUS).listen(options.onEvent);
  const runId = randomUUID();
  const emit = (event: EventBody): void =>
    app.get(EVENT_BUS).emit({ runId, atMs: app.get(CLOCK).now(), ...event });
  try {
    const opened = existsSync(join(reference, RECORD_FILE))
      ? await openPredictor(reference, app, emit, options)
      : await openCheckpoint(reference, app, emit, options);
    const source =
      options.chatTemplate === undefined ? undefined : chatTemplateSource(options.chatTemplate);
    return languageModel(opened, app, source, emit);
  } catch (error) {
    app.dispose();
    throw error;
  }
}

interface Opened {
  readonly model: Model;
  readonly engine: Engine;
  readonly base: BaseModel;
}

async function openPredictor(
  path: string,
  app: App,
  emit: (event: EventBody) => void,
  { adapter, revision, chatTemplate: _, ...options }: LanguageModelOptions,
): Promise<Opened> {
  if (revision !== undefined) throw revisionOfFolder(path, revision);
  if (adapter !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: ${path} was saved with an adapter of its own, so that ${adapter} cannot be put on it.`,
      { hint: 'give the base model with the adapter, or the saved folder alone' },
    );
  const state = await readPredictor(path, app, emit, options);
  if (state.task.name === 'causal-lm' || state.task.name === 'seq2seq') return state;
  state.model.dispose();
  state.engine.dispose();
  throw new PeftError(
    'PEFT_MODEL_HEAD',
    `predictor: ${path} was trained for ${state.task.name}, which writes no text.`,
    { hint: 'use it with peft predict, or give a language model' },
  );
}

async function openCheckpoint(
  reference: string,
  app: App,
  emit: (event: EventBody) => void,
  { adapter, revision, engine: name, precision, threads, signal }: LanguageModelOptions,
): Promise<Opened> {
  const base = await openBaseModel(reference, {
    resolver: app.get(MODEL_RESOLVER),
    architectures: app.get(ARCHITECTURES),
    revision,
    vocabulary: adapter === undefined ? {} : adapterPlaces(adapter),
    emit,
    signal,
  });
  const heads = base.architecture.heads;
  const kind = heads.includes('seq2seq-lm') ? 'seq2seq-lm' : 'causal-lm';
  const settings = overrideHyperparameters(resolveHyperparameters(), [
    {
      'env.engine': name ?? 'auto',
      'env.precision': precision ?? 'auto',
      'env.num_threads': threads ?? 0,
    },
  ]);
  const engine = await startEngine(app, settings, emit);
  let model: Model | undefined;
  try {
    model = loadBaseModel(base, engine, { head: { kind }, seed: 0, emit });
    if (adapter !== undefined) {
      const { warnings } = await loadAdapter(model, adapterPlaces(adapter).adapter, {
        name: ADAPTER,
        methods: app.get(ADAPTER_METHODS),
      });
      for (const message of warnings)
        emit({ type: 'run/warned', code: 'PEFT_ADAPTER_CONFIG', message });
    }
    return { model, engine, base };
  } catch (error) {
    model?.dispose();
    engine.dispose();
    throw error;
  }
}

function languageModel(
  { model, engine, base }: Opened,
  app: App,
  template: string | undefined,
  emit: (event: EventBody) => void,
): LanguageModel {
  const { config, filesFolder, tokenizerFolder, tokenizer } = base;
  const own = languageTexts({ folder: filesFolder, tokenizerFolder, config, tokenizer, template });
  let isDisposed = false;
  return Object.freeze<LanguageModel>({
    ...own,
    model,
    config,
    adapter: model.activeAdapters[0],
    addAdapter: (name, folder) => addLanguageAdapter({ model, base, own }, app, name, folder, emit),
    dispose() {
      if (isDisposed) return;
      isDisposed = true;
      model.dispose();
      engine.dispose();
      app.dispose();
    },
  });
}
