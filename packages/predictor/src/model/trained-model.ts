/**
 * What was trained, opened to leave in another form: the base's weights as their file has them (as
 * they were in training, where the method computes from them), in float32 products, with the adapter
 * beside them.
 */
import { join } from 'node:path';
import type { HeadOptions, Model } from '@peft/core';
import type { Label } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import type { Engine } from '@peft/ops';
import { adapterPlaces } from '../fit/start-adapter.js';
import { ADAPTER_FOLDER } from '../folder/predictor-folder.js';
import type { LoadOptions } from '../settings/predictor-types.js';
import { labelCount } from '../tasks/labels/classifier-head.js';
import type { TaskName } from '../tasks/task-names.js';
import type { BaseModel, SavedFields } from './base-model.js';
import {
  isSavedPredictor,
  openCheckpoint,
  opening,
  openSaved,
  type OpeningTools,
} from './open-model.js';
import { disposeState } from './predictor-state.js';

/**
 * What `fit` saved, or a checkpoint with an adapter, open as a model: for exports and other work on
 * weights. The base's matrices stay in their files, which each use reads.
 */
export interface TrainedModel {
  readonly model: Model;
  readonly engine: Engine;
  readonly base: BaseModel;
  /** Of a folder that a predictor saved. */
  readonly task: TaskName | undefined;
  /** Class i is classes[i], of classes, labels and tags; empty for numbers. */
  readonly classes: readonly Label[] | undefined;
  /** Fields of files that the task adds to those of the base, `config.json` …; none of a checkpoint. */
  readonly fields: SavedFields;
  /** What was trained, for instance `lora`; undefined for a bare checkpoint. */
  readonly method: string | undefined;
  /** Where the adapter lies; undefined for a bare checkpoint. */
  readonly adapterFolder: string | undefined;
  /** Frees model and engine. */
  dispose(): void;
}

/** How a trained model is opened. */
export interface TrainedModelOptions extends Pick<
  LoadOptions,
  'baseModel' | 'engine' | 'threads' | 'signal' | 'onEvent' | 'modules' | 'onListenerError'
> {
  /** Folder of an adapter for a checkpoint. */
  readonly adapter?: string;
}

/**
 * @param reference a folder that `PeftPredictor` saved, or a folder or hub id of a checkpoint. The
 *   base's weights are those of its file, whatever the adapter was trained on; unless the method has
 *   fixed parts that are computed from the values (`computesFromBase`): then they are held as they were
 *   in training, which `model.weights.quantization` says, and the adapter answers as it did.
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
  return opening(options, async (tools) => {
    const opened = isSavedPredictor(reference)
      ? await openPredictor(reference, options, tools)
      : await openBare(reference, options, tools);
    return Object.freeze<TrainedModel>({
      ...opened,
      dispose() {
        disposeState(opened);
        tools.app.dispose();
      },
    });
  });
}

type Opened = Omit<TrainedModel, 'dispose'>;

async function openPredictor(
  path: string,
  options: TrainedModelOptions,
  tools: OpeningTools,
): Promise<Opened> {
  const state = await openSaved(path, { ...options, precision: '32', isAsStored: true }, tools);
  const { model, engine, base, task, method, settings } = state;
  const { record, problem } = task;
  return {
    model,
    engine,
    base,
    task: task.name,
    classes: 'tags' in record ? record.tags : (problem?.classes ?? task.classes),
    fields: task.savedFiles?.(settings, model.description) ?? {},
    method,
    adapterFolder: join(path, ADAPTER_FOLDER),
  };
}

async function openBare(
  reference: string,
  { baseModel, ...options }: TrainedModelOptions,
  tools: OpeningTools,
): Promise<Opened> {
  if (baseModel !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `predictor: ${reference} is a model itself, so that ${baseModel} cannot be its base.`,
      { hint: 'baseModel is for a folder that fit saved without its base; leave it out' },
    );
  const opened = await openCheckpoint(
    reference,
    { ...options, precision: '32', isStreamed: true },
    headOf,
    tools,
  );
  const adapterFolder =
    options.adapter === undefined ? undefined : adapterPlaces(options.adapter).adapter;
  return { ...opened, task: undefined, classes: undefined, fields: {}, adapterFolder };
}

/** What the checkpoint's own class has; a family that writes texts does. */
function headOf({ architecture: { heads }, config }: BaseModel): HeadOptions {
  const [name] = Array.isArray(config['architectures'])
    ? (config['architectures'] as unknown[])
    : [];
  const named = (text: string): boolean => typeof name === 'string' && name.endsWith(text);
  const outputs = labelCount(config);
  if (named('ForSequenceClassification')) return { kind: 'sequence-classification', outputs };
  if (named('ForTokenClassification')) return { kind: 'token-classification', outputs };
  if (heads.includes('seq2seq-lm')) return { kind: 'seq2seq-lm' };
  if (heads.includes('causal-lm')) return { kind: 'causal-lm' };
  return named('ForMaskedLM') ? { kind: 'masked-lm' } : { kind: 'none' };
}
