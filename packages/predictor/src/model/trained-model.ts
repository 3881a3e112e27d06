/**
 * What was trained, opened to leave in another form: the base's weights as their file has them, in
 * float32 products, with the adapter beside them.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compose, loadAdapter, override, type App, type HeadOptions, type Model } from '@peft/core';
import type { Label } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import type { Engine } from '@peft/ops';
import { CLOCK, EVENT_BUS } from '@peft/trainer';
import { startEngine } from '../engine/start-engine.js';
import { adapterPlaces } from '../fit/start-adapter.js';
import { readPredictor } from '../folder/load-predictor.js';
import { ADAPTER_FOLDER, RECORD_FILE } from '../folder/predictor-folder.js';
import {
  ADAPTER_METHODS,
  ARCHITECTURES,
  MODEL_RESOLVER,
  predictorModule,
} from '../predictor-module.js';
import { overrideHyperparameters, resolveHyperparameters } from '../settings/hyperparameters.js';
import type { LoadOptions } from '../settings/predictor-types.js';
import type { TaskName } from '../tasks/task-names.js';
import { loadBaseModel, openBaseModel, type BaseModel, type EventBody } from './base-model.js';
import { ADAPTER } from './predictor-state.js';

export interface TrainedModel {
  readonly model: Model;
  readonly engine: Engine;
  readonly base: BaseModel;
  /** Of a folder that a predictor saved. */
  readonly task: TaskName | undefined;
  /** Class i is classes[i], of classes, labels and tags; empty for numbers. */
  readonly classes: readonly Label[] | undefined;
  /** What was trained, for instance `lora`; undefined for a bare checkpoint. */
  readonly method: string | undefined;
  /** Where the adapter lies; undefined for a bare checkpoint. */
  readonly adapterFolder: string | undefined;
  /** Frees model and engine. */
  dispose(): void;
}

export interface TrainedModelOptions extends Pick<
  LoadOptions,
  'baseModel' | 'engine' | 'threads' | 'signal' | 'onEvent' | 'modules' | 'onListenerError'
> {
  /** Folder of an adapter for a checkpoint. */
  readonly adapter?: string;
}

/**
 * @param reference a folder that `PeftPredictor` saved, or a folder or hub id of a checkpoint. The
 *   base's weights are those of its file, whatever the adapter was trained on.
 * @throws PEFT_CONFIG_INVALID, and what opening models, adapters and predictors throws; nothing
 *   stays allocated then
 */
export async function loadTrainedModel(
  reference: string,
  options: TrainedModelOptions = {},
): Promise<TrainedModel> {
  check.knownKeys('loadTrainedModel', options, [
    'baseModel',
    'engine',
    'threads',
    'signal',
    'onEvent',
    'modules',
    'onListenerError',
    'adapter',
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
    return Object.freeze<TrainedModel>({
      ...opened,
      dispose() {
        opened.model.dispose();
        opened.engine.dispose();
        app.dispose();
      },
    });
  } catch (error) {
    app.dispose();
    throw error;
  }
}

type Opened = Omit<TrainedModel, 'dispose'>;

async function openPredictor(
  path: string,
  app: App,
  emit: (event: EventBody) => void,
  { adapter, ...options }: TrainedModelOptions,
): Promise<Opened> {
  if (adapter !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: ${path} was saved with an adapter of its own, so that ${adapter} cannot be put on it.`,
      { hint: 'give the base model with the adapter, or the saved folder alone' },
    );
  const { model, engine, base, task, method } = await readPredictor(path, app, emit, {
    ...options,
    precision: '32',
    isAsStored: true,
  });
  const { record, problem } = task;
  return {
    model,
    engine,
    base,
    task: task.name,
    classes: 'tags' in record ? record.tags : (problem?.classes ?? task.classes),
    method,
    adapterFolder: join(path, ADAPTER_FOLDER),
  };
}

async function openCheckpoint(
  reference: string,
  app: App,
  emit: (event: EventBody) => void,
  { adapter, engine: name, threads, signal }: TrainedModelOptions,
): Promise<Opened> {
  const base = await openBaseModel(reference, {
    resolver: app.get(MODEL_RESOLVER),
    architectures: app.get(ARCHITECTURES),
    vocabulary: adapter === undefined ? {} : adapterPlaces(adapter),
    emit,
    signal,
  });
  const settings = overrideHyperparameters(resolveHyperparameters(), [
    { 'env.engine': name ?? 'auto', 'env.precision': '32', 'env.num_threads': threads ?? 0 },
  ]);
  const engine = await startEngine(app, settings, emit);
  let model: Model | undefined;
  try {
    model = loadBaseModel(base, engine, { head: headOf(base), seed: 0, emit });
    let method: string | undefined;
    if (adapter !== undefined) {
      const loaded = await loadAdapter(model, adapterPlaces(adapter).adapter, {
        name: ADAPTER,
        methods: app.get(ADAPTER_METHODS),
      });
      method = loaded.adapter.spec.name;
      for (const message of loaded.warnings)
        emit({ type: 'run/warned', code: 'PEFT_ADAPTER_CONFIG', message });
    }
    const rest = { task: undefined, classes: undefined, adapterFolder: adapter };
    return { model, engine, base, method, ...rest };
  } catch (error) {
    model?.dispose();
    engine.dispose();
    throw error;
  }
}

/** What the checkpoint's own class has; a family that writes texts does. */
function headOf({ architecture: { heads }, config }: BaseModel): HeadOptions {
  const [name] = Array.isArray(config['architectures'])
    ? (config['architectures'] as unknown[])
    : [];
  const named = (text: string): boolean => typeof name === 'string' && name.endsWith(text);
  const kinds = ['sequence-classification', 'token-classification'] as const;
  for (const kind of kinds)
    if (named(kind === kinds[0] ? 'ForSequenceClassification' : 'ForTokenClassification'))
      return { kind, outputs: labelCount(config) };
  if (heads.includes('seq2seq-lm')) return { kind: 'seq2seq-lm' };
  if (heads.includes('causal-lm')) return { kind: 'causal-lm' };
  return named('ForMaskedLM') ? { kind: 'masked-lm' } : { kind: 'none' };
}

/** As transformers counts them. */
function labelCount(config: JsonObject): number {
  const { id2label, num_labels: given } = config as {
    readonly id2label?: object | null;
    readonly num_labels?: unknown;
  };
  if (id2label) return Object.keys(id2label).length;
  return typeof given === 'number' ? given : 2;
}
