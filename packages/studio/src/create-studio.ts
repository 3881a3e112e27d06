/** The studio: a local page over a folder of runs, and what it asks. */
import { mkdirSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { PeftError } from '@peft/errors';
import type { StudioState } from './api-types.js';
import { addExports } from './routes/export-routes.js';
import { addResults } from './routes/result-routes.js';
import { addRuns } from './routes/run-routes.js';
import { addStart } from './routes/start-routes.js';
import { errorBody, statusOf } from './http/errors.js';
import { guard, newToken } from './http/guard.js';
import { pageFiles } from './http/page-files.js';
import { RunIndex } from './runs/run-index.js';
import { TableStore } from './tables/table-store.js';
import { StudioThread } from './thread/studio-thread.js';
import type { StudioContext } from './studio-context.js';
import type { RunRequests, StudioOptions } from './studio-options.js';

/** The page's server. */
export interface Studio {
  /** What an address must end with: `?token=…`. */
  readonly token: string;
  /**
   * Listens. Default 127.0.0.1 and a free port.
   * @returns the address to open
   * @throws PEFT_STUDIO_ADDRESS when the address is taken or not this machine's
   */
  listen(address?: {
    readonly host?: string;
    readonly port?: number;
  }): Promise<{ readonly url: string }>;
  /** Ends the page; runs go on. */
  close(): Promise<void>;
}

/** Names of this machine. */
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];

/** @throws PEFT_STUDIO_FOLDER when the folder cannot be made */
export async function createStudio(options: StudioOptions): Promise<Studio> {
  makeFolder(options.folder);
  const ending = options.isSource ? 'ts' : 'js';
  const module = `${options.requests.href}.${ending}`;
  const { requests } = (await import(module)) as { requests: RunRequests };
  const thread = new StudioThread(module);
  const scoring = new StudioThread(module);
  const context: StudioContext = {
    options,
    requests,
    index: new RunIndex(options.folder),
    tables: new TableStore(options.folder),
    thread,
    scoring,
    closing: [() => thread.end(), () => scoring.end()],
  };
  const token = newToken();
  let hosts: readonly string[] = [];
  let server: Server | undefined;
  const app = await createApp(context, token, () => hosts);
  return {
    token,
    listen: async ({ host = '127.0.0.1', port = 0 } = {}) => {
      server = await listening(app, host, port);
      const { port: own } = server.address() as AddressInfo;
      const name = host.includes(':') ? `[${host}]` : host;
      hosts = [...LOOPBACK, name].map((each) => `${each}:${own}`);
      void context.index.readAhead();
      return { url: `http://${name}:${own}/?token=${token}` };
    },
    close: async () => {
      await new Promise<void>((resolve) => {
        if (!server) return resolve();
        server.close(() => resolve());
        server.closeAllConnections();
      });
      for (const end of context.closing) await end();
    },
  };
}

async function createApp(
  context: StudioContext,
  token: string,
  hosts: () => readonly string[],
): Promise<Hono> {
  const app = new Hono();
  app.use(guard(token, hosts));
  const files = await pageFiles();
  app.get('/', (c) => c.html(files['index.html']));
  app.get('/page.js', (c) => c.body(files['page.js'], 200, { 'Content-Type': 'text/javascript' }));
  app.get('/page.css', (c) => c.body(files['page.css'], 200, { 'Content-Type': 'text/css' }));
  app.get('/favicon.ico', (c) => c.body(null, 204));
  const { version } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  const state: StudioState = { folder: context.index.folder, version };
  app.get('/api/state', (c) => c.json(state));
  for (const add of [addRuns, addStart, addResults, addExports]) add(app, context);
  app.notFound((c) =>
    c.json(errorBody(new PeftError('PEFT_STUDIO_PATH', `studio: there is no ${c.req.path}.`)), 404),
  );
  app.onError((error, c) => {
    context.options.log?.(`${c.req.method} ${c.req.path}: ${error.message}`);
    return c.json(errorBody(error), statusOf(error));
  });
  return app;
}

async function listening(app: Hono, host: string, port: number): Promise<Server> {
  // the application's own Request and Response stay as they are
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
  }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new PeftError(
          'PEFT_STUDIO_ADDRESS',
          `studio: cannot listen on ${host}:${port}: ${cause.message}.`,
          { hint: 'leave --port out for a free one, and --host for this machine alone', cause },
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
  return server;
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw new PeftError(
      'PEFT_STUDIO_FOLDER',
      `studio: ${folder} cannot be used: ${(cause as Error).message}.`,
      { hint: 'give a folder that runs can be written into', cause },
    );
  }
}
