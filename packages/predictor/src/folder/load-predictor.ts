/** Reads the folder of a predictor. */
import { join, resolve } from 'node:path';
import {
  computesFromBase,
  loadAdapter,
  readAdapterSpec,
  type App,
  type MethodSpec,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import {
  describeBase,
  loadBaseModel,
  openBaseModel,
  type BaseModel,
  type EventBody,
} from '../model/base-model.js';
import type { EngineName } from '../engine/engine-choice.js';
import { overrideHyperparameters } from '../settings/hyperparameters.js';
import { quantizationOf } from '../fit/fit-memory.js';
import { putBeneath } from '../fit/start-adapter.js';
import { trainNewRows } from '../fit/train-new-rows.js';
import { newRows } from '../model/grown-base.js';
import { vocabularyOptions } from '../model/vocabulary.js';
import { namedMethod } from '../methods/named-method.js';
import {
  adapterHash,
  ADAPTER_FOLDER,
  BASE_ADAPTER_FOLDER,
  MODEL_FOLDER,
  RECORD_FILE,
} from './predictor-folder.js';
import {
  ADAPTER_METHODS,
  ARCHITECTURES,
  MODEL_RESOLVER,
  PREDICTOR_METRICS,
} from '../predictor-module.js';
import type { PredictorRecord } from './predictor-record.js';
import { readRecord } from './read-record.js';
import { ADAPTER, BENEATH, type PredictorState } from '../model/predictor-state.js';
import type { LoadOptions } from '../settings/predictor-types.js';
import { startEngine } from '../engine/start-engine.js';
import { restoreTask } from '../tasks/restore-task.js';

export interface ReadPredictorOptions extends LoadOptions {
  /**
   * The base's weights as their file has them, whatever they were quantised to for training (unless
   * the adapter has fixed parts that are computed from them), and left there until they are used.
   */
  readonly isAsStored?: boolean;
}

/**
 * @throws PEFT_PREDICTOR_MISSING, PEFT_PREDICTOR_INVALID, PEFT_PREDICTOR_VERSION
 * @throws PEFT_ADAPTER_MISMATCH the adapter or the base model is not the one that was saved.
 * @throws what opening the base model, the adapter and the engine throw; nothing stays allocated
 *   then.
 */
export async function readPredictor(
  path: string,
  app: App,
  emit: (event: EventBody) => void,
  options: ReadPredictorOptions,
): Promise<PredictorState> {
  const record = readRecord(path);
  await requireOwnAdapter(path, ADAPTER_FOLDER, record.adapterHash);
  const isStacked = record.baseAdapterHash !== undefined;
  if (record.baseAdapterHash !== undefined)
    await requireOwnAdapter(path, BASE_ADAPTER_FOLDER, record.baseAdapterHash);
  const task = restoreTask(record.task, app.get(PREDICTOR_METRICS));
  const metric = task.metric(record.metric);
  const base = await openRecordedBase(path, record, app, emit, options);
  const settings = overrideHyperparameters(record.settings, [engineSettings(options)]);
  const engine = await startEngine(app, settings, emit);
  try {
    const named = record.isNamedMethod ? namedMethod(app, settings, task.name) : undefined;
    const head = task.head(settings);
    const methods = app.get(ADAPTER_METHODS);
    const isExact = (place: string, spec?: MethodSpec): boolean =>
      computesFromBase(
        spec ?? readAdapterSpec(join(path, place), describeBase(base, head), { methods }),
      );
    const isAsTrained =
      !options.isAsStored ||
      isExact(ADAPTER_FOLDER, named) ||
      (isStacked && isExact(BASE_ADAPTER_FOLDER));
    const model = loadBaseModel(base, engine, {
      head,
      seed: 0,
      quantization: isAsTrained ? quantizationOf(settings) : undefined,
      isStreamed: options.isAsStored,
      emit,
    });
    try {
      if (isStacked) await putBeneath(model, join(path, BASE_ADAPTER_FOLDER), app, emit);
      const { warnings } = await loadAdapter(model, join(path, ADAPTER_FOLDER), {
        name: ADAPTER,
        methods,
        isTrainable: true,
        spec: named && trainNewRows(named, model.description, newRows(base)).spec,
      });
      for (const message of warnings)
        emit({ type: 'run/warned', code: 'PEFT_ADAPTER_CONFIG', message });
      if (isStacked) model.setActiveAdapters(BENEATH, ADAPTER);
    } catch (error) {
      model.dispose();
      throw error;
    }
    const { fileColumns, method, isNamedMethod, summary } = record;
    return {
      engine,
      model,
      base: {
        ...base,
        virtualTokens: model.activeAdapters.reduce(
          (sum, name) => sum + model.adapter(name).virtualTokens,
          0,
        ),
      },
      task,
      metric,
      settings,
      fileColumns,
      method,
      isNamedMethod,
      summary,
    };
  } catch (error) {
    engine.dispose();
    throw error;
  }
}

async function requireOwnAdapter(
  path: string,
  place: Parameters<typeof adapterHash>[1] & string,
  hash: string,
): Promise<void> {
  if ((await adapterHash(path, place)) === hash) return;
  throw new PeftError(
    'PEFT_ADAPTER_MISMATCH',
    `predictor: ${resolve(path, place)} does not hold the adapter that ${RECORD_FILE} was saved with.`,
    { hint: 'a file was damaged or exchanged: copy the whole folder again' },
  );
}

async function openRecordedBase(
  path: string,
  record: PredictorRecord,
  app: App,
  emit: (event: EventBody) => void,
  options: LoadOptions,
): Promise<BaseModel> {
  const { reference, revision, fingerprint, isIncluded } = record.base;
  const isHere = isIncluded && options.baseModel === undefined;
  // of a name with a revision no folder here can be meant
  const recorded = revision === undefined ? reference : `${reference}@${revision}`;
  const base = await openBaseModel(
    isHere ? join(path, MODEL_FOLDER) : (options.baseModel ?? recorded),
    {
      resolver: app.get(MODEL_RESOLVER),
      architectures: app.get(ARCHITECTURES),
      filesFolder: join(path, MODEL_FOLDER),
      vocabulary: {
        ...vocabularyOptions(record.settings),
        size: record.base.vocabularySize,
      },
      emit,
      signal: options.signal,
    },
  );
  if (base.fingerprint !== fingerprint) {
    throw new PeftError(
      'PEFT_ADAPTER_MISMATCH',
      `predictor: the weights in ${base.folder} are not those of ${reference}${revision === undefined ? '' : ` (${revision})`}, ` +
        'which the adapter was trained on.',
      { hint: 'name the right folder with load(path, { baseModel })' },
    );
  }
  return isHere ? { ...base, reference, revision } : base;
}

function engineSettings({
  engine,
  precision,
  threads,
}: {
  readonly engine?: 'auto' | EngineName;
  readonly precision?: string;
  readonly threads?: number;
}): Record<string, unknown> {
  return {
    'env.engine': engine ?? 'auto',
    ...(precision === undefined ? {} : { 'env.precision': precision }),
    'env.num_threads': threads ?? 0,
  };
}
