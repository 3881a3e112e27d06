/**
 * `predictor.json`: everything about a saved predictor that is not a tensor, written plainly and
 * read as hostile input.
 */
import type { Label } from '@peft/data';
import { PeftError, show } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import type { Hyperparameters } from '../settings/hyperparameter-types.js';
import { overrideHyperparameters, resolveHyperparameters } from '../settings/hyperparameters.js';
import type { FitSummary } from '../settings/predictor-types.js';
import type { ProblemRecord } from '../settings/problem.js';
import { isTableTask, TASK_NAMES, type TaskName } from '../tasks/task-names.js';
import { parseHead, parseMultiLabel, parsePreferenceLoss, parseRanking } from './label-record.js';
import { reader, type Reader } from './record-reader.js';
import { TASK_ROLES } from '../tasks/column-roles.js';
import type { TaskRecord } from '../tasks/task-record.js';

export const RECORD_FORMAT = 'peft-predictor';
export const RECORD_VERSION = 2;

export interface PredictorRecord {
  readonly task: TaskRecord;
  readonly metric: string;
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
    /** Tokens that it has rows for. Folders of earlier versions lack it: as the checkpoint has. */
    readonly vocabularySize: number | undefined;
    /** The weights are in the folder. */
    readonly isIncluded: boolean;
  };
  /** sha256 of the adapter's weights. */
  readonly adapterHash: string;
  /** The same of the adapter that it stands on, where there is one. */
  readonly baseAdapterHash: string | undefined;
  readonly summary: FitSummary;
}

export const formatRecord = (record: PredictorRecord): string =>
  `${JSON.stringify({ format: RECORD_FORMAT, version: RECORD_VERSION, ...record }, null, 2)}\n`;

/**
 * Checks every field.
 * @throws PEFT_PREDICTOR_INVALID naming the field, PEFT_PREDICTOR_VERSION for a newer format,
 *   PEFT_HYPERPARAMETER_… for its settings
 */
export function parseRecord(json: JsonObject, where: string): PredictorRecord {
  const read = reader(json, where, '');
  if (json['format'] !== RECORD_FORMAT) read.fail('format', JSON.stringify(RECORD_FORMAT));
  if (json['version'] !== RECORD_VERSION) {
    throw new PeftError(
      'PEFT_PREDICTOR_VERSION',
      `predictor: ${where} has version ${show(json['version'])}, this toolkit reads ${RECORD_VERSION}.`,
      { hint: 'load it with the version of @peft/predictor that saved it, or a newer one' },
    );
  }
  const base = read.object('base');
  const settings = read.object('settings').value;
  return {
    task: parseTask(read.object('task')),
    metric: read.text('metric'),
    fileColumns: json['fileColumns'] === undefined ? undefined : read.texts('fileColumns'),
    settings: overrideHyperparameters(resolveHyperparameters(), [settings]),
    method: read.text('method'),
    isNamedMethod: read.truth('isNamedMethod'),
    base: {
      reference: base.text('reference'),
      revision: base.value['revision'] === undefined ? undefined : base.text('revision'),
      fingerprint: base.hash('fingerprint'),
      vocabularySize:
        base.value['vocabularySize'] === undefined ? undefined : base.count('vocabularySize', 1),
      isIncluded: base.truth('isIncluded'),
    },
    adapterHash: read.hash('adapterHash'),
    baseAdapterHash:
      json['baseAdapterHash'] === undefined ? undefined : read.hash('baseAdapterHash'),
    summary: parseSummary(read.object('summary')),
  };
}

function parseTask(read: Reader): TaskRecord {
  const taskIdColumn = read.optionalText('taskIdColumn');
  const record = parseNamedTask(read);
  return taskIdColumn === undefined ? record : { ...record, taskIdColumn };
}

function parseNamedTask(read: Reader): TaskRecord {
  const name = read.value['name'] as TaskName;
  if (!TASK_NAMES.includes(name)) return read.fail('name', `one of ${TASK_NAMES.join(', ')}`);
  if (isTableTask(name)) {
    const problem = parseProblem(read.object('problem'));
    if ((problem.type === 'regression') !== (name === 'regression'))
      read.fail('name', `that of a ${problem.type} problem`);
    return {
      name: name as 'classification',
      label: read.text('label'),
      texts: read.texts('texts'),
      problem,
      weight: read.optionalText('weight'),
    };
  }
  if (name === 'multi-label-classification') return parseMultiLabel(read);
  const columns = parseColumns(name as keyof typeof TASK_ROLES, read.object('columns'), read);
  if (name === 'ranking') return { name, columns, ...parseRanking(read) };
  if (name === 'preference') return { name, columns, loss: parsePreferenceLoss(read) };
  if (name === 'reward') return { name, columns, head: parseHead(read) };
  if (name !== 'token-classification') return { name: name as 'causal-lm', columns };
  const tags = read.texts('tags');
  if (tags.length < 2 || new Set(tags).size !== tags.length)
    read.fail('tags', 'a list of different tags');
  return { name, columns, tags };
}

/** One of the task's sets of roles, each with a column. */
function parseColumns(
  name: keyof typeof TASK_ROLES,
  { value, text }: Reader,
  read: Reader,
): Readonly<Record<string, string>> {
  const sets: readonly (readonly string[])[] = TASK_ROLES[name];
  const isWhole = (set: readonly string[]): boolean =>
    set.every((role) => role.endsWith('?') || Object.hasOwn(value, role)) &&
    Object.keys(value).every((role) => set.includes(role) || set.includes(`${role}?`));
  if (!sets.some(isWhole))
    return read.fail('columns', `columns of ${sets.map((set) => set.join(', ')).join('; or ')}`);
  return Object.fromEntries(Object.keys(value).map((role) => [role, text(role)]));
}

function parseProblem(read: Reader): ProblemRecord {
  const { type, classes, positiveClass } = read.value;
  if (type === 'regression') {
    const deviation = read.number('deviation');
    if (!(deviation > 0)) read.fail('deviation', 'above 0');
    return { type, mean: read.number('mean'), deviation };
  }
  if (type !== 'binary' && type !== 'multiclass')
    return read.fail('type', 'binary, multiclass or regression');
  const isList =
    Array.isArray(classes) &&
    classes.length >= 2 &&
    new Set(classes).size === classes.length &&
    classes.every((label) => ['string', 'number', 'boolean'].includes(typeof label));
  if (!isList || (type === 'binary' && classes.length !== 2))
    return read.fail(
      'classes',
      type === 'binary' ? 'a list of two labels' : 'a list of different labels',
    );
  if (positiveClass !== undefined && read.count('positiveClass', 0) >= classes.length)
    read.fail('positiveClass', `below ${classes.length}`);
  return {
    type,
    classes: classes as readonly Label[],
    positiveClass: positiveClass as number | undefined,
    classWeights: read.weights('classWeights', classes.length),
  };
}

function parseSummary(read: Reader): FitSummary {
  const reason = read.value['reason'];
  if (reason !== 'completed' && reason !== 'stopped-early')
    return read.fail('reason', 'completed or stopped-early');
  const averaged = read.value['averagedSteps'];
  if (!Array.isArray(averaged) || !averaged.every((step) => Number.isSafeInteger(step) && step > 0))
    return read.fail('averagedSteps', 'a list of steps');
  return {
    metric: read.text('metric'),
    validationScore: read.number('validationScore'),
    trainingLoss: read.optionalNumber('trainingLoss'),
    trainingSeconds: read.number('trainingSeconds'),
    steps: read.count('steps', 0),
    reason,
    averagedSteps: averaged as number[],
    trainingRows: read.count('trainingRows', 1),
    validationRows: read.count('validationRows', 1),
    peakMemoryBytes: read.number('peakMemoryBytes'),
    plannedPeakBytes: read.optionalNumber('plannedPeakBytes'),
    method: read.text('method'),
    engine: read.value['engine'] === undefined ? undefined : read.text('engine'),
    trainableParameters: read.count('trainableParameters', 0),
    totalParameters: read.count('totalParameters', 0),
  };
}
