/** `predictor.json`: everything about a saved predictor that is not a tensor, written plainly and read as hostile input. */
import type { Label } from '@peft/data';
import { PeftError, show } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import { overrideHyperparameters, resolveHyperparameters, type Hyperparameters } from './hyperparameters.js';
import type { FitSummary } from './predictor-types.js';
import type { ProblemRecord } from './problem.js';
import type { TextSettings } from './text-columns.js';

export const RECORD_FORMAT = 'peft-predictor';
export const RECORD_VERSION = 1;

export interface PredictorRecord {
  readonly label: string;
  readonly problem: ProblemRecord;
  readonly metric: string;
  readonly texts: TextSettings;
  /** Names of the columns of the training file, which had no header. */
  readonly fileColumns: readonly string[] | undefined;
  readonly settings: Hyperparameters;
  readonly method: string;
  /** The method is what `optim.peft` says, not one given as a value. */
  readonly isNamedMethod: boolean;
  readonly base: {
    readonly reference: string;
    readonly revision: string | undefined;
    readonly fingerprint: string;
    /** The weights are in the folder. */
    readonly isIncluded: boolean;
  };
  /** sha256 of the adapter's weights. */
  readonly adapterHash: string;
  readonly summary: FitSummary;
}

export const formatRecord = (record: PredictorRecord): string => `${JSON.stringify({ format: RECORD_FORMAT, version: RECORD_VERSION, ...record }, null, 2)}\n`;

/**
 * Checks every field.
 * @throws PEFT_PREDICTOR_INVALID naming the field, PEFT_PREDICTOR_VERSION for a newer format, PEFT_HYPERPARAMETER_… for its settings
 */
export function parseRecord(json: JsonObject, where: string): PredictorRecord {
  const read = reader(json, where, '');
  if (json['format'] !== RECORD_FORMAT) read.fail('format', JSON.stringify(RECORD_FORMAT));
  if (json['version'] !== RECORD_VERSION) {
    throw new PeftError('PEFT_PREDICTOR_VERSION', `predictor: ${where} has version ${show(json['version'])}, this toolkit reads ${RECORD_VERSION}.`, { hint: 'load it with the version of @peft/predictor that saved it, or a newer one' });
  }
  const texts = read.object('texts');
  const base = read.object('base');
  const settings = read.object('settings').value;
  return {
    label: read.text('label'),
    problem: parseProblem(read.object('problem')),
    metric: read.text('metric'),
    texts: { columns: texts.texts('columns'), maxLength: texts.count('maxLength', 1), segments: texts.count('segments', 1) },
    fileColumns: json['fileColumns'] === undefined ? undefined : read.texts('fileColumns'),
    settings: overrideHyperparameters(resolveHyperparameters(), [settings]),
    method: read.text('method'),
    isNamedMethod: read.truth('isNamedMethod'),
    base: {
      reference: base.text('reference'),
      revision: base.value['revision'] === undefined ? undefined : base.text('revision'),
      fingerprint: base.hash('fingerprint'),
      isIncluded: base.truth('isIncluded'),
    },
    adapterHash: read.hash('adapterHash'),
    summary: parseSummary(read.object('summary')),
  };
}

function parseProblem(read: Reader): ProblemRecord {
  const { type, classes, positiveClass } = read.value;
  if (type === 'regression') {
    const deviation = read.number('deviation');
    if (!(deviation > 0)) read.fail('deviation', 'above 0');
    return { type, mean: read.number('mean'), deviation };
  }
  if (type !== 'binary' && type !== 'multiclass') return read.fail('type', 'binary, multiclass or regression');
  const isList = Array.isArray(classes) && classes.length >= 2 && new Set(classes).size === classes.length && classes.every((label) => ['string', 'number', 'boolean'].includes(typeof label));
  if (!isList || (type === 'binary' && classes.length !== 2)) return read.fail('classes', type === 'binary' ? 'a list of two labels' : 'a list of different labels');
  if (positiveClass !== undefined && read.count('positiveClass', 0) >= classes.length) read.fail('positiveClass', `below ${classes.length}`);
  return { type, classes: classes as readonly Label[], ...(positiveClass !== undefined && { positiveClass: positiveClass as number }) };
}

function parseSummary(read: Reader): FitSummary {
  const reason = read.value['reason'];
  if (reason !== 'completed' && reason !== 'stopped-early') return read.fail('reason', 'completed or stopped-early');
  const averaged = read.value['averagedSteps'];
  if (!Array.isArray(averaged) || !averaged.every((step) => Number.isSafeInteger(step) && step > 0)) return read.fail('averagedSteps', 'a list of steps');
  return {
    metric: read.text('metric'), validationScore: read.number('validationScore'), trainingSeconds: read.number('trainingSeconds'), steps: read.count('steps', 0), reason, averagedSteps: averaged as number[],
    trainingRows: read.count('trainingRows', 1), validationRows: read.count('validationRows', 1), peakMemoryBytes: read.number('peakMemoryBytes'), method: read.text('method'),
    trainableParameters: read.count('trainableParameters', 0), totalParameters: read.count('totalParameters', 0),
  };
}

interface Reader {
  readonly value: JsonObject;
  fail(key: string, must: string): never;
  text(key: string): string;
  number(key: string): number;
  count(key: string, least: number): number;
  truth(key: string): boolean;
  hash(key: string): string;
  texts(key: string): readonly string[];
  object(key: string): Reader;
}

function reader(value: JsonObject, where: string, prefix: string): Reader {
  const fail = (key: string, must: string): never => {
    throw new PeftError('PEFT_PREDICTOR_INVALID', `predictor: ${where}: ${prefix}${key} must be ${must}, got ${show(value[key])}.`, { hint: 'the file is damaged or was changed; save the predictor again' });
  };
  const checked = <T>(key: string, isValid: (item: unknown) => boolean, must: string): T => (Object.hasOwn(value, key) && isValid(value[key]) ? (value[key] as T) : fail(key, must));
  return {
    value,
    fail,
    text: (key) => checked(key, (item) => typeof item === 'string' && item !== '', 'a text'),
    number: (key) => checked(key, Number.isFinite, 'a number'),
    count: (key, least) => checked(key, (item) => Number.isSafeInteger(item) && (item as number) >= least, `an integer of at least ${least}`),
    truth: (key) => checked(key, (item) => typeof item === 'boolean', 'true or false'),
    hash: (key) => checked(key, (item) => typeof item === 'string' && /^[0-9a-f]{64}$/.test(item), 'a sha256'),
    texts: (key) => checked(key, (item) => Array.isArray(item) && item.length > 0 && item.every((text) => typeof text === 'string'), 'a list of texts'),
    object: (key) => reader(checked<JsonObject>(key, (item) => typeof item === 'object' && item !== null && !Array.isArray(item), 'an object'), where, `${prefix}${key}.`),
  };
}
