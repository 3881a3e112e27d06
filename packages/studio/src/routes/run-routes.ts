/** `/api/runs` … : what the page Runs shows and does. */
import type { Hono } from 'hono';
import { PeftError } from '@peft/errors';
import type { JsonObject } from '@peft/hub';
import type { StudioContext } from '../studio-context.js';
import { jsonBody, queryText, textField } from '../http/json-body.js';
import { LiveStreams } from '../runs/live.js';
import { stopRun } from '../runs/processes.js';
import { recordIn, runDetails } from '../runs/run-details.js';
import { forgetRun } from '../runs/run-output.js';
import { checkEffects } from '../start/check-request.js';
import { resumeRun } from '../start/start-run.js';

const DEFAULT_POINTS = 2000;
const MAXIMUM_POINTS = 20_000;
/** Runs that one page watches at most. */
const MAXIMUM_WATCHED = 12;

export function addRuns(app: Hono, { index, requests, options }: StudioContext): void {
  app.get('/api/runs', async (c) => c.json({ runs: await index.list() }));

  app.get('/api/run', async (c) => c.json(await runDetails(index, queryText(c, 'run'), requests)));

  app.get('/api/series', async (c) => {
    const log = await index.log(queryText(c, 'run'));
    const after = wholeNumber(c.req.query('after'), 0);
    const points = Math.min(MAXIMUM_POINTS, wholeNumber(c.req.query('points'), DEFAULT_POINTS));
    return c.json(log.series(after, c.req.query('edition'), points));
  });

  const streams = new LiveStreams(index);
  app.get('/api/live', (c) =>
    streams.answer(c, (c.req.queries('run') ?? []).slice(0, MAXIMUM_WATCHED)),
  );

  app.post('/api/stop', async (c) => {
    const record = recordIn(index.pathOf(textField(await jsonBody(c), 'run')));
    if (!record) throw new PeftError('PEFT_STUDIO_RUN', 'studio: that run has no run.json.');
    await stopRun(record);
    return c.json({});
  });

  app.post('/api/resume', async (c) => {
    const id = textField(await jsonBody(c), 'run');
    const request = resumable(index.pathOf(id));
    checkEffects(request, index.folder);
    resumeRun(index.folder, options.fitCommand, id, request).ended.catch((error: Error) =>
      options.log?.(`resume of ${id}: ${error.message}`),
    );
    return c.json({ run: id });
  });

  app.post('/api/forget', async (c) => {
    forgetRun(index.folder, textField(await jsonBody(c), 'run'));
    return c.json({});
  });
}

/** @throws PEFT_STUDIO_RESUME where the folder does not say what would start it again */
function resumable(path: string): JsonObject {
  const request = recordIn(path)?.request;
  if (request) return request;
  throw new PeftError('PEFT_STUDIO_RESUME', 'studio: the folder does not say how to go on.', {
    hint: 'type the same peft fit again with --resume',
  });
}

function wholeNumber(text: string | undefined, otherwise: number): number {
  const value = Number(text ?? otherwise);
  return Number.isSafeInteger(value) && value >= 0 ? value : otherwise;
}
