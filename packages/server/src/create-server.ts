/** A server for one model with its adapters. */
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { PeftError } from '@peft/errors';
import { addAdapters } from './api/adapters.js';
import { addChatCompletions } from './api/chat-completions.js';
import { addCompletions } from './api/completions.js';
import type { ApiContext, ServerContext, ServerEnv } from './api/context.js';
import { addEmbeddings } from './api/embeddings.js';
import { addGenerate } from './api/generate.js';
import { addPredictions } from './api/predictions.js';
import { addRerank } from './api/rerank.js';
import { addSageMaker } from './api/sagemaker.js';
import { addState } from './api/state.js';
import { listenOn } from './http/addresses.js';
import { ApiError, apiErrorOf, errorBody } from './http/api-error.js';
import { authorize } from './http/authorize.js';
import { Metrics } from './http/metrics.js';
import { openServedModel, type ServedModel } from './served-model.js';
import {
  resolveServerOptions,
  type ResolvedServerOptions,
  type ServerOptions,
} from './server-options.js';

/** A server that has loaded its model. */
export interface PeftServer {
  /** What the model is, and which engine computes it; undefined for what writes no text. */
  readonly served: ServedModel;
  /** Answers a request: mount it in an application of one's own. */
  fetch(request: Request): Response | Promise<Response>;
  /**
   * Listens. Default 127.0.0.1, port 8000; port 0 takes a free one.
   * @throws PEFT_SERVER_ADDRESS when the address is taken or not this machine's
   */
  listen(address?: {
    readonly host?: string;
    readonly port?: number;
  }): Promise<{ readonly url: string }>;
  /**
   * Takes no more requests, lets those that run end, and frees the model.
   * @param timeoutMs after which those that still run are cut off. Default 30,000.
   */
  close(timeoutMs?: number): Promise<void>;
}

/** Bounds of a connection, against clients that hold it without asking anything. */
const KEEP_ALIVE_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 2048;
const IDLE_CHECK_MS = 50;
const OPEN_PATHS: readonly string[] = Object.freeze(['/health', '/ping']);

/**
 * Loads a model, in a thread of its own, and makes a server for it. Nothing is sent anywhere, and no
 * path from a request reaches the file system unless `adapterRoot` is given.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY, and what loading models and
 *   adapters throws
 */
export async function createServer(options: ServerOptions): Promise<PeftServer> {
  const resolved = resolveServerOptions(options);
  const { log } = resolved;
  const served = await openServedModel(resolved, (message) =>
    log(JSON.stringify({ level: 'warning', message })),
  );
  const state = { isClosing: false };
  const app = createApp(resolved, served, state);
  let server: Server | undefined;
  return {
    served,
    fetch: (request) => app.fetch(request),
    listen: async ({ host = '127.0.0.1', port = 8000 } = {}) => {
      if (server)
        throw new PeftError('PEFT_SERVER_ADDRESS', 'server: it listens already.', {
          hint: 'make another server for another address, or close this one first',
        });
      server = await listening(app, host, port, resolved);
      const { port: own } = server.address() as AddressInfo;
      return { url: `http://${host.includes(':') ? `[${host}]` : host}:${own}` };
    },
    close: async (timeoutMs = 30_000) => {
      state.isClosing = true;
      if (server) await closed(server, timeoutMs);
      await served.thread.dispose();
    },
  };
}

function createApp(
  options: ResolvedServerOptions,
  served: ServedModel,
  state: { readonly isClosing: boolean },
): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>();
  const context: ApiContext = {
    options,
    served,
    metrics: new Metrics(),
    adapters: new Set(Object.keys(options.adapters)),
    createdSeconds: Math.floor(Date.now() / 1000),
  };
  const routes = new Set<string>();
  app.use(async (c, next) => {
    const began = performance.now();
    c.set('notes', {});
    await next();
    const told = (): void => logRequest(c, context, (performance.now() - began) / 1000, routes);
    const ended = c.get('ended');
    if (ended) void ended.then(told);
    else told();
  });
  app.use(async (c, next) => {
    if (state.isClosing) throw new ApiError(503, 'The server is about to end.');
    if (!OPEN_PATHS.includes(c.req.path)) authorize(c.req.header('authorization'), options.apiKeys);
    await next();
  });
  app.use(
    bodyLimit({
      maxSize: options.maxBodyBytes,
      onError: () => {
        throw new ApiError(413, `The body is larger than ${options.maxBodyBytes} bytes.`);
      },
    }),
  );
  for (const add of [
    addState,
    addChatCompletions,
    addCompletions,
    addGenerate,
    addEmbeddings,
    addPredictions,
    addRerank,
    addAdapters,
    addSageMaker,
  ])
    add(app, context);
  for (const { path } of app.routes) if (!path.includes('*')) routes.add(path);
  app.notFound((c) =>
    answerError(c, new ApiError(404, `There is no ${c.req.method} ${c.req.path}.`)),
  );
  app.onError((error, c) => answerError(c, error));
  return app;
}

function answerError(c: ServerContext, error: unknown): Response {
  const answer = apiErrorOf(error);
  if (answer.status === 500) c.set('notes', { ...c.get('notes'), error: String(error) });
  if (answer.status === 503) c.header('Retry-After', '1');
  return c.json(errorBody(answer), answer.status);
}

/** A line of JSON; of streams, when they have ended. */
function logRequest(
  c: ServerContext,
  { options, metrics }: ApiContext,
  seconds: number,
  routes: ReadonlySet<string>,
): void {
  // strangers may ask for any path, and each would be a counter of its own
  metrics.answered(routes.has(c.req.path) ? c.req.path : 'other', c.res.status, seconds);
  options.log(
    JSON.stringify({
      time: new Date().toISOString(),
      method: c.req.method,
      path: c.req.path.slice(0, 200),
      status: c.res.status,
      seconds: Math.round(seconds * 1000) / 1000,
      ...c.get('notes'),
    }),
  );
}

async function listening(
  app: Hono<ServerEnv>,
  host: string,
  port: number,
  { headersTimeoutMs, requestTimeoutMs }: ResolvedServerOptions,
): Promise<Server> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false, // the application's Request and Response stay as they are
    // Node looks for connections over their time every 30 s unless it is told otherwise
    serverOptions: { connectionsCheckingInterval: Math.min(1000, headersTimeoutMs) },
  }) as Server;
  server.headersTimeout = headersTimeoutMs;
  server.requestTimeout = requestTimeoutMs;
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  await listenOn(server, host, port);
  return server;
}

/** Ends once all requests have been answered, or the time is over. */
async function closed(server: Server, timeoutMs: number): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
  // a connection that was kept alive for more requests is idle once its answer has been sent
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  try {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  } finally {
    clearTimeout(timer);
    clearInterval(idle);
  }
}
