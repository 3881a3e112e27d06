/** `/api/form`, `/api/tables`, `/api/preview`, `/api/start`: the page that starts runs. */
import type { Hono } from 'hono';
import { PeftError } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import { allMethods, listMethods } from '@peft/methods';
import { METRIC_NAMES, TASK_NAMES } from '@peft/predictor';
import type { FormParts, PreviewAnswer, SettingSchema } from '../api-types.js';
import { errorBody } from '../http/errors.js';
import { jsonBody, objectField, queryText, textField } from '../http/json-body.js';
import { recordIn } from '../runs/run-details.js';
import type { RunIndex } from '../runs/run-index.js';
import { checkRequest } from '../start/check-request.js';
import { startRun } from '../start/start-run.js';
import { expectedTime } from '../start/expected-time.js';
import type { StudioContext } from '../studio-context.js';
import type { TableReading } from '../tables/preview-table.js';

/** Runs whose models are offered again. */
const REMEMBERED_RUNS = 50;

export function addStart(app: Hono, context: StudioContext): void {
  const { index, requests, options, tables, thread } = context;

  app.get('/api/form', async (c) => {
    const { properties } = requests.settings() as { properties: FormParts['settings'] };
    const form: FormParts = {
      settings: flat(properties),
      methods: methodParts(),
      tasks: TASK_NAMES,
      metrics: Object.values(METRIC_NAMES).flat(),
      models: await modelsOf(index),
      tables: tables.dropped(),
    };
    return c.json(form);
  });

  app.get('/api/draft', (c) => {
    const request = recordIn(index.pathOf(queryText(c, 'run')))?.request;
    if (!request)
      throw new PeftError('PEFT_STUDIO_RUN', 'studio: the run does not say what it was asked for.');
    const { output: _output, ...draft } = requests.plain(request);
    return c.json(draft);
  });

  app.post('/api/tables/drop', async (c) => {
    const { body } = c.req.raw;
    if (!body) throw new PeftError('PEFT_STUDIO_REQUEST', 'studio: the file is empty.');
    const path = await tables.drop(queryText(c, 'name'), body as never); // Node's type of the same
    return c.json({ path });
  });

  app.post('/api/tables/name', async (c) =>
    c.json({ path: tables.name(textField(await jsonBody(c), 'path')) }),
  );

  app.post('/api/table', async (c) => {
    const body = await jsonBody(c);
    const path = tables.require(body['path']);
    const reading = body['reading'] === undefined ? {} : objectField(body, 'reading');
    return c.json(await thread.ask('table', path, reading as TableReading));
  });

  app.post('/api/preview', async (c) => {
    const request = objectField(await jsonBody(c), 'request');
    checkRequest(request, index.folder, tables);
    return c.json(await previewOf(request, context));
  });

  app.post('/api/start', async (c) => {
    const body = await jsonBody(c);
    const [name, request] = [textField(body, 'name'), objectField(body, 'request')];
    checkRequest(request, index.folder, tables);
    requests.call(request); // refuses what cannot be a fit before a process is started
    startRun(index.folder, options.fitCommand, name, request).ended.catch((error: Error) =>
      options.log?.(`start of ${name}: ${error.message}`),
    );
    return c.json({ run: name });
  });
}

async function previewOf(
  request: JsonObject,
  { requests, thread, index }: StudioContext,
): Promise<PreviewAnswer> {
  let words: Pick<PreviewAnswer, 'runFile' | 'commandLine'> = {};
  try {
    words = { runFile: requests.runFile(request), commandLine: requests.commandLine(request) };
    // what is typed while the last preview is made makes that one needless
    const preview = await thread.askLast('preview', request);
    return { ...words, preview: { ...preview, time: await expectedTime(index, preview) } };
  } catch (error) {
    return { ...words, problem: errorBody(error).error };
  }
}

/** The settings themselves, without the groups that they are written in. */
const flat = (properties: FormParts['settings']): FormParts['settings'] =>
  Object.fromEntries(
    Object.entries(properties).filter(
      ([key, schema]) =>
        key.includes('.') && (schema as { properties?: unknown }).properties === undefined,
    ),
  ) as Readonly<Record<string, SettingSchema>>;

function methodParts(): FormParts['methods'] {
  const options = new Map<string, FormParts['methods'][number]['options']>(
    allMethods.map((method) => [method.name, method.options ?? []]),
  );
  return listMethods().map(({ name, formula, parts }) => ({
    name,
    formula: formula ?? (parts.length > 0 ? parts.join(' + ') : undefined),
    options: (options.get(name) ?? []).map((option) => ({
      name: option.name,
      default: option.default,
    })),
  }));
}

/** Of the newest runs, each once. */
async function modelsOf(index: RunIndex): Promise<readonly string[]> {
  const runs = (await index.list()).filter(({ state }) => state !== 'not-started');
  const references = runs.slice(0, REMEMBERED_RUNS).flatMap(({ id }) => {
    const reference = recordIn(index.pathOf(id))?.base?.['reference'];
    return typeof reference === 'string' ? [reference] : [];
  });
  return [...new Set(references)];
}
