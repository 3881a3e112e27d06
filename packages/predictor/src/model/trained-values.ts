/**
 * The values of the base that an adapter was trained beside. Most adapters are what they are beside
 * any rounding of them; methods that make fixed parts of the values (PiSSA, KaSA, PSOFT …) are what
 * was trained beside those very values alone.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import {
  computesFromBase,
  readAdapterSpec,
  type App,
  type Model,
  type ModelDescription,
  type WeightQuantization,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { quantizationOf } from '../fit/fit-memory.js';
import { readRecord } from '../folder/read-record.js';
import { ADAPTER_FOLDER, BASE_ADAPTER_FOLDER, RECORD_FILE } from '../folder/predictor-folder.js';
import { ADAPTER_METHODS } from '../predictor-module.js';

/** How a base was held in training: `undefined` for as its file has it. */
interface TrainedValues {
  readonly quantization: WeightQuantization | undefined;
}

/**
 * What an adapter's base must be held as; undefined where it may be anything, or nobody says what it
 * was trained beside.
 * @param folder of an adapter; one in a folder that a predictor saved is told of there
 */
export function trainedValuesOf(
  folder: string,
  description: ModelDescription,
  app: App,
): TrainedValues | undefined {
  const methods = app.get(ADAPTER_METHODS);
  if (!computesFromBase(readAdapterSpec(folder, description, { methods }))) return undefined;
  const whole = resolve(folder);
  const saved = dirname(whole);
  const isSaved =
    [ADAPTER_FOLDER, BASE_ADAPTER_FOLDER].includes(basename(whole)) &&
    existsSync(join(saved, RECORD_FILE));
  return isSaved ? { quantization: quantizationOf(readRecord(saved).settings) } : undefined;
}

/**
 * That an adapter's fixed parts become what they were in training.
 * @throws PEFT_ADAPTER_MISMATCH
 */
export function requireTrainedValues(
  { description, weights: { quantization: held } }: Model,
  folder: string,
  app: App,
): void {
  const trained = trainedValuesOf(folder, description, app);
  if (!trained || isSame(trained.quantization, held)) return;
  throw new PeftError(
    'PEFT_ADAPTER_MISMATCH',
    `predictor: the adapter in ${resolve(folder)} has fixed parts that are computed from the base's ` +
      `values, which were ${named(trained.quantization)} in training and are ${named(held)} here.`,
    {
      hint:
        `load ${dirname(resolve(folder))} itself, or hold the base as it was ` +
        '(model.hf_text.quantization), or export the adapter as LoRA',
    },
  );
}

const isSame = (a: WeightQuantization | undefined, b: WeightQuantization | undefined): boolean =>
  a?.format === b?.format &&
  a?.blockSize === b?.blockSize &&
  (a?.doubleQuantization ?? false) === (b?.doubleQuantization ?? false);

const named = (quantization: WeightQuantization | undefined): string =>
  quantization === undefined ? "the file's" : `in ${quantization.format}`;
