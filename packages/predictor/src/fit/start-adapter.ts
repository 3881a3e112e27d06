/** Where a run starts: a fresh adapter, or one that was trained before. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { checkSavable, loadAdapter, type App, type MethodSpec, type Model } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import { readJsonObject } from '@peft/hub';
import {
  ADAPTER_FOLDER,
  BASE_ADAPTER_FOLDER,
  MODEL_FOLDER,
  RECORD_FILE,
} from '../folder/predictor-folder.js';
import type { EventBody } from '../model/base-model.js';
import type { AdapterFolders } from '../model/vocabulary.js';
import { ADAPTER, BENEATH } from '../model/predictor-state.js';
import { requireTrainedValues } from '../model/trained-values.js';
import { ADAPTER_METHODS } from '../predictor-module.js';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import type { FitOptions } from '../settings/predictor-types.js';
import type { PredictorTask } from '../tasks/predictor-task.js';

/**
 * Refuses options that contradict each other.
 * @throws PEFT_CONFIG_INVALID when both a method and an adapter are given
 */
export function checkStart({ adapter, method, baseAdapter }: FitOptions): void {
  if (baseAdapter !== undefined) check.string('fit', 'baseAdapter', baseAdapter);
  if (adapter === undefined) return;
  check.string('fit', 'adapter', adapter);
  if (method !== undefined)
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      'fit: adapter and method are both given, and the adapter is of the method that its file names.',
      { hint: 'leave one of them out; baseAdapter is for a fresh one on top of another' },
    );
}

/**
 * Where the files of an adapter lie, and those of its tokenizer where it has one.
 * @param folder of an adapter, or of a saved predictor
 * @throws PEFT_CONFIG_UNSUPPORTED for a predictor whose adapter stands on another one
 */
export function adapterPlaces(folder: string): AdapterFolders {
  if (!existsSync(join(folder, RECORD_FILE))) return { adapter: folder, tokenizer: folder };
  if (existsSync(join(folder, BASE_ADAPTER_FOLDER)))
    throw new PeftError(
      'PEFT_CONFIG_UNSUPPORTED',
      `predictor: the adapter of ${folder} was trained on top of another one, and is nothing without it.`,
      { hint: `load ${folder} itself` },
    );
  return { adapter: join(folder, ADAPTER_FOLDER), tokenizer: join(folder, MODEL_FOLDER) };
}

/** Virtual tokens of an adapter in PEFT's layout. */
export const virtualTokensIn = (folder: string): number => {
  const config = readJsonObject(join(adapterPlaces(folder).adapter, 'adapter_config.json'));
  const tokens = config?.['num_virtual_tokens'];
  return typeof tokens === 'number' ? tokens : 0;
};

interface AdapterStart {
  /** Of a fresh adapter. */
  readonly spec: MethodSpec;
  /** Of an adapter to go on from, ours, PEFT's or adapter-hub's, or of a predictor. */
  readonly folder: string | undefined;
  /** Of an adapter that stays as it is beneath. */
  readonly beneath: string | undefined;
  readonly seed: number;
}

/**
 * Puts the adapter that is to train on the model.
 * @returns the name of its method
 * @throws what loading an adapter throws; PEFT_FORMAT_UNSUPPORTED where no file could describe it
 */
export async function startAdapter(
  model: Model,
  { spec, folder, beneath, seed }: AdapterStart,
  app: App,
  emit: (event: EventBody) => void,
): Promise<string> {
  if (beneath !== undefined) await putBeneath(model, adapterPlaces(beneath).adapter, app, emit);
  let name = spec.name;
  if (folder === undefined) {
    model.addAdapter(ADAPTER, spec, { seed });
    checkSavable(model, ADAPTER);
  } else {
    const { adapter: place } = adapterPlaces(folder);
    requireTrainedValues(model, place, app);
    const { adapter, warnings } = await loadAdapter(model, place, {
      name: ADAPTER,
      methods: app.get(ADAPTER_METHODS),
      isTrainable: true,
    });
    tell(warnings, emit);
    name = adapter.spec.name;
  }
  if (beneath !== undefined) model.setActiveAdapters(BENEATH, ADAPTER);
  return name;
}

/** Says what a task compares with that goes on from an adapter: the base without it. */
export function tellReference(
  { comparesWithBase }: Pick<PredictorTask, 'comparesWithBase'>,
  settings: Hyperparameters,
  emit: (event: EventBody) => void,
): void {
  if (!comparesWithBase?.(settings)) return;
  emit({
    type: 'run/warned',
    code: 'PEFT_REFERENCE_BASE',
    message:
      'the reference is the base without the adapter that training goes on from; TRL takes that ' +
      'adapter as it was at the start.',
    hint: 'keep it beneath a new one with baseAdapter (CLI: --base-adapter): the reference then has it',
  });
}

/** Loads the adapter that another one is to stand on; it does not train. */
export async function putBeneath(
  model: Model,
  folder: string,
  app: App,
  emit: (event: EventBody) => void,
): Promise<void> {
  requireTrainedValues(model, folder, app);
  const methods = app.get(ADAPTER_METHODS);
  const { warnings } = await loadAdapter(model, folder, { name: BENEATH, methods });
  tell(warnings, emit);
}

function tell(warnings: readonly string[], emit: (event: EventBody) => void): void {
  for (const message of warnings)
    emit({ type: 'run/warned', code: 'PEFT_ADAPTER_CONFIG', message });
}
