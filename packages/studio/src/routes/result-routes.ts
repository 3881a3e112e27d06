/** `/api/score` and `/api/try`: how a finished run does, and what it makes of a text. */
import type { Hono } from 'hono';
import { PeftError, show } from '@peft/errors';
import { jsonBody, objectField, textField } from '../http/json-body.js';
import { OpenedModels } from '../try/opened-models.js';
import type { StudioContext } from '../studio-context.js';

/** Runs whose adapters are on one base at a time. */
const MAXIMUM_VOICES = 4;
const CHAT_PATHS = ['/v1/chat/completions', '/v1/completions'];

export function addResults(app: Hono, { index, tables, scoring, closing }: StudioContext): void {
  app.post('/api/score', async (c) => {
    const body = await jsonBody(c);
    const path = index.pathOf(textField(body, 'run'));
    const table = body['table'] === undefined ? undefined : tables.require(body['table']);
    return c.json(await scoring.ask('score', path, table));
  });

  const models = new OpenedModels(index);
  closing.push(() => models.close());

  app.post('/api/try/open', async (c) => {
    const { runs } = await jsonBody(c);
    const isList = Array.isArray(runs) && runs.every((id) => typeof id === 'string');
    if (!isList || runs.length === 0 || runs.length > MAXIMUM_VOICES)
      throw new PeftError(
        'PEFT_STUDIO_REQUEST',
        `studio: runs must be 1 to ${MAXIMUM_VOICES} names of runs, got ${show(runs)}.`,
      );
    return c.json(await models.open(runs as string[]));
  });

  app.post('/api/try/predict', async (c) =>
    c.json(await models.predict(objectField(await jsonBody(c), 'row'))),
  );

  for (const path of CHAT_PATHS)
    app.post(`/api/try${path}`, async (c) =>
      models.ask(path, await c.req.text(), c.req.raw.signal),
    );
}
