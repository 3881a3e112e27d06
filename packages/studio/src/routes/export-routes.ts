/** `/api/exports` and `/api/export`: what was learnt, in the formats of others. */
import type { Hono } from 'hono';
import type { RunExports } from '../api-types.js';
import { exportFiles, exportState } from '../exports/export-state.js';
import { startExport } from '../exports/start-export.js';
import { jsonBody, queryText, textField } from '../http/json-body.js';
import type { StudioContext } from '../studio-context.js';

export function addExports(app: Hono, { index, options }: StudioContext): void {
  const { command, formats } = options.exports ?? { command: [], formats: [] };

  app.get('/api/exports', (c) => {
    const run = queryText(c, 'run');
    index.pathOf(run);
    const answer: RunExports = {
      formats,
      exports: formats.flatMap(({ name }) => {
        const state = exportState(exportFiles(index.folder, run, name));
        return state ? [{ format: name, ...state }] : [];
      }),
    };
    return c.json(answer);
  });

  app.post('/api/export', async (c) => {
    const body = await jsonBody(c);
    const run = textField(body, 'run');
    const asked = {
      run,
      format: textField(body, 'format'),
      type: body['type'] === undefined ? undefined : textField(body, 'type'),
    };
    startExport(index.folder, command, formats, index.pathOf(run), asked).ended.catch(
      (error: Error) => options.log?.(`export of ${run}: ${error.message}`),
    );
    return c.json({});
  });
}
