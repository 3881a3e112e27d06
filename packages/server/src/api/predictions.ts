/**
 * `POST /predict`, as Text Embeddings Inference has it, and `POST /v1/classify`, as vLLM has it:
 * classifiers, regressors, taggers.
 */
import { randomUUID } from 'node:crypto';
import type { Hono } from 'hono';
import { show } from '@peft/errors';
import { ApiError } from '../http/api-error.js';
import type { BodyReader } from '../http/body-reader.js';
import type { ServedPredictor } from '../served-model.js';
import {
  note,
  predictorOf,
  readBody,
  type ApiContext,
  type ServerContext,
  type ServerEnv,
} from './context.js';
import { readTaskId } from './text-parameters.js';

interface Scored {
  readonly label: string;
  readonly score: number;
}

export function addPredictions(app: Hono<ServerEnv>, context: ApiContext): void {
  app.post('/predict', async (c) => predictInputs(c, context, await readBody(c)));
  app.post('/v1/classify', async (c) => classify(c, context, await readBody(c)));
}

/** Answers `{ inputs }`; also what `/invocations` gets for such a body. */
export async function predictInputs(
  c: ServerContext,
  context: ApiContext,
  body: BodyReader,
): Promise<Response> {
  const predictor = predictorOf(context);
  const { rows, isBatch } = readInputs(body, predictor, context.options.maxTextsPerRequest);
  body.refuse('raw_scores', 'scores are probabilities', false);
  body.refuse('truncate', 'what is too long is always cut', true);
  body.refuseUnknown();
  noteRows(c, context, rows);
  const { signal } = c.req.raw;
  const { task, problemType } = predictor.description;
  if (task === 'embeddings')
    throw new ApiError(404, 'The model makes embeddings: use /v1/embeddings or /embed.');
  const answers =
    task === 'multi-label-classification' ||
    (isClassifier(predictor) && problemType !== 'regression')
      ? (await probabilities(predictor, rows, signal)).map((row) => scored(predictor, row))
      : await plainPredictions(predictor, rows, signal);
  return c.json(isBatch ? answers : answers[0]!);
}

async function classify(
  c: ServerContext,
  context: ApiContext,
  body: BodyReader,
): Promise<Response> {
  const predictor = predictorOf(context);
  if (!isClassifier(predictor) || predictor.description.problemType === 'regression')
    throw new ApiError(
      404,
      `The model was trained for ${predictor.description.task}: use /predict.`,
    );
  const model = body.text('model');
  requireName(context, model);
  const given = body.texts('input', context.options.maxTextsPerRequest);
  if (given === undefined) throw body.invalid('input', 'a text or a list of texts', given);
  body.pass('user');
  const taskId = readTaskId(body);
  body.refuseUnknown();
  const rows = given.map((text) => rowOf(predictor, [text], taskId));
  noteRows(c, context, rows);
  const made = await probabilities(predictor, rows, c.req.raw.signal);
  return c.json({
    id: `classify-${randomUUID()}`,
    object: 'list',
    created: Math.floor(Date.now() / 1000),
    model: model ?? context.options.name,
    data: made.map((row, index) => ({
      index,
      label: scored(predictor, row)[0]!.label,
      probs: [...row],
      num_classes: row.length,
    })),
  });
}

/** @throws ApiError 404 for a model of another name */
export function requireName({ options: { name } }: ApiContext, model: string | undefined): void {
  if (model === undefined || model === name) return;
  throw new ApiError(404, `There is no model ${show(model)}. Served: ${name}.`, {
    param: 'model',
    code: 'model_not_found',
  });
}

const isClassifier = ({ description: { task } }: ServedPredictor): boolean =>
  task === 'classification';

/** Probabilities of the classes, of each row. */
const probabilities = (
  { thread, queue }: ServedPredictor,
  rows: readonly Row[],
  signal: AbortSignal,
): Promise<Float64Array[]> => queue.run(signal, () => thread.predictProba(rows));

/** Classes with their probabilities, the most probable first. */
function scored({ description }: ServedPredictor, row: Float64Array): Scored[] {
  const labels = description.classLabels ?? [];
  return [...row]
    .map((score, id) => ({ label: String(labels[id]), score }))
    .sort((a, b) => b.score - a.score);
}

/** A number is a score with the label's name; tags stand beside their words. */
async function plainPredictions(
  { thread, queue, description }: ServedPredictor,
  rows: readonly Row[],
  signal: AbortSignal,
): Promise<unknown[]> {
  const made = await queue.run(signal, () => thread.predict<unknown>(rows));
  return made.map((value) =>
    typeof value === 'number'
      ? [{ label: String(description.label ?? 'score'), score: value }]
      : value,
  );
}

export type Row = Readonly<Record<string, string>>;

/**
 * A row of the model's columns.
 * @param taskId which of the adapter's tasks it is of, where that is not among the texts
 * @throws ApiError 400 when it has another number of texts, or no such task is asked for
 */
export function rowOf(
  { description: { textColumns, taskIdColumn } }: ServedPredictor,
  texts: readonly string[],
  taskId?: number,
): Row {
  if (taskId !== undefined && taskIdColumn === undefined)
    throw new ApiError(400, 'The model learnt one task: leave out "task_id".', {
      param: 'task_id',
    });
  const columns =
    taskId === undefined ? textColumns : textColumns.filter((column) => column !== taskIdColumn);
  const isTaskMissing =
    taskIdColumn !== undefined && taskId === undefined && texts.length + 1 === columns.length;
  if (isTaskMissing)
    throw new ApiError(400, 'The model learnt several tasks: say which one with "task_id".', {
      param: 'task_id',
    });
  if (texts.length !== columns.length)
    throw new ApiError(
      400,
      `An input of this model has ${columns.length} texts (${columns.join(', ')}), got ${texts.length}.`,
      { param: 'inputs' },
    );
  return Object.fromEntries([
    ...columns.map((column, i) => [column, texts[i]!] as const),
    ...(taskId === undefined ? [] : [[taskIdColumn!, String(taskId)] as const]),
  ]);
}

/** One input: a text, or the texts of its columns in a list. Several: a list of such lists. */
function readInputs(
  body: BodyReader,
  predictor: ServedPredictor,
  most: number,
): { readonly rows: readonly Row[]; readonly isBatch: boolean } {
  const given = body.any('inputs');
  const taskId = readTaskId(body);
  const isTexts = (value: unknown): value is string[] =>
    Array.isArray(value) && value.length > 0 && value.every((text) => typeof text === 'string');
  if (typeof given === 'string')
    return { rows: [rowOf(predictor, [given], taskId)], isBatch: false };
  if (isTexts(given)) return { rows: [rowOf(predictor, given, taskId)], isBatch: false };
  if (Array.isArray(given) && given.length > 0 && given.length <= most && given.every(isTexts))
    return { rows: given.map((texts) => rowOf(predictor, texts, taskId)), isBatch: true };
  throw body.invalid(
    'inputs',
    `a text, a list of the texts of one input, or a list of at most ${most} such lists`,
    given,
  );
}

export function noteRows(
  c: ServerContext,
  { options: { name, logTexts } }: ApiContext,
  rows: readonly Row[],
): void {
  note(c, { model: name });
  if (logTexts) note(c, { prompt: rows });
}
