/**
 * A hub on 127.0.0.1 that answers as huggingface.co does: the two API calls, `resolve` with ranges,
 * a redirect of large files to another origin, and uploads. It can be told to misbehave.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { answerStorage, answerUpload, noUploads, type FakeUploads } from './fake-hub-uploads.js';

export interface FakeHubOptions {
  /**
   * Name → files. A file from 1000 bytes up counts as large: it is listed by SHA-256 and served by
   * the second origin.
   */
  readonly models: Record<string, Record<string, Uint8Array | string>>;
}

export interface LoggedRequest {
  readonly method: string;
  readonly path: string;
  readonly origin: 'hub' | 'storage';
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** What goes wrong; a test may change it between calls. */
export interface FakeHubFaults {
  /** Requests without this token are refused. */
  token?: string;
  /** Closes the connection after so many bytes of a large file. */
  cutAfterBytes?: number;
  /** Sends large files whole although a part is asked for. */
  ignoreRange?: boolean;
  /** Sends something else than it lists. */
  corrupt?: boolean;
  /** Answers the next requests for files with these statuses. */
  statuses: number[];
  /** Answers to the API calls that replace the right ones. */
  modelInfo?: unknown;
  tree?: unknown;
}

export interface FakeHub {
  readonly endpoint: string;
  readonly requests: LoggedRequest[];
  readonly faults: FakeHubFaults;
  readonly uploads: FakeUploads;
  readonly models: Record<string, Record<string, Uint8Array | string>>;
}

/** The commit of what a model holds now. */
export const commitOf = (files: Record<string, Uint8Array | string>): string => {
  const hash = createHash('sha1');
  for (const [name, content] of Object.entries(files)) hash.update(name).update(content);
  return hash.digest('hex');
};

export const etagOf = (content: Uint8Array | string): string => {
  const bytes = Buffer.from(content);
  return bytes.length >= 1000
    ? createHash('sha256').update(bytes).digest('hex')
    : createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
};

/** Starts the hub; it stops after the test. */
export async function fakeHub({ models }: FakeHubOptions): Promise<FakeHub> {
  const requests: LoggedRequest[] = [];
  const faults: FakeHubFaults = { statuses: [] };
  const uploads = noUploads();
  const log = (origin: LoggedRequest['origin'], request: IncomingMessage) =>
    requests.push({
      origin,
      method: request.method!,
      path: request.url!,
      range: request.headers.range,
      authorization: request.headers.authorization,
    });

  const storage = await listen(async (request, response) => {
    log('storage', request);
    if (await answerStorage(request, response, uploads)) return;
    const [, name = '', file = ''] = /^\/(.+)\/([^/]+)$/.exec(request.url!) ?? [];
    sendFile(request, response, Buffer.from(models[name]![file]!), faults);
  });
  const hub = await listen(async (request, response) => {
    log('hub', request);
    const { pathname } = new URL(request.url!, 'http://hub');
    const json = (value: unknown, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (faults.token && request.headers.authorization !== `Bearer ${faults.token}`)
      return json({ error: 'Invalid username or password.' }, 401);
    if (await answerUpload(request, response, models, uploads, addressOf(storage))) return;
    const [, isInfo, infoName = '', revision = ''] =
      /^\/api\/(models)\/(.+)\/revision\/([^/]+)$/.exec(pathname) ?? [];
    const [, isTree, treeName = ''] =
      /^\/api\/(models)\/(.+)\/tree\/([0-9a-f]{40})$/.exec(pathname) ?? [];
    const [, fileModel = '', commit = '', file = ''] =
      /^\/(.+)\/resolve\/([0-9a-f]{40})\/([^/]+)$/.exec(pathname) ?? [];
    const files = models[infoName || treeName || fileModel];
    if (!files || (isInfo && revision !== 'main' && revision !== commitOf(files)))
      return json({ error: 'Repository not found' }, 404);
    if (isInfo)
      return json(
        faults.modelInfo ?? {
          _id: '1',
          id: infoName,
          sha: commitOf(files),
          private: !uploads.publicNames.has(infoName),
          downloads: 0,
          likes: 0,
          gated: false,
          lastModified: '2024-01-01T00:00:00.000Z',
        },
      );
    if (isTree)
      return json(
        faults.tree ??
          Object.entries(files).map(([path, content]) => treeEntry(path, Buffer.from(content))),
      );
    const content = files[file];
    if (content === undefined || commit !== commitOf(files))
      return json({ error: 'Entry not found' }, 404);
    const status = faults.statuses.shift();
    if (status !== undefined) return response.writeHead(status).end();
    const bytes = Buffer.from(content);
    if (bytes.length < 1000) return sendFile(request, response, bytes, { statuses: [] });
    return response
      .writeHead(302, {
        location: `${addressOf(storage)}/${fileModel}/${file}`,
        'x-linked-etag': `"${etagOf(bytes)}"`,
      })
      .end();
  });
  return { endpoint: addressOf(hub), requests, faults, uploads, models };
}

const treeEntry = (path: string, bytes: Buffer) => ({
  type: 'file',
  path,
  size: bytes.length,
  oid: bytes.length < 1000 ? etagOf(bytes) : '0'.repeat(40),
  ...(bytes.length < 1000
    ? {}
    : { lfs: { oid: etagOf(bytes), size: bytes.length, pointerSize: 130 } }),
});

function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
  faults: FakeHubFaults,
): void {
  const bytes = faults.corrupt ? Buffer.from(content.map((byte) => byte ^ 1)) : content;
  const start = faults.ignoreRange
    ? 0
    : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const part = bytes.subarray(start);
  if (start >= bytes.length && start > 0) return void response.writeHead(416).end();
  response.writeHead(start > 0 ? 206 : 200, {
    'content-length': part.length,
    ...(start > 0 ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}),
  });
  if (faults.cutAfterBytes !== undefined && faults.cutAfterBytes < part.length)
    response.write(part.subarray(0, faults.cutAfterBytes), () =>
      setImmediate(() => response.destroy()),
    );
  else response.end(part);
}

async function listen(
  handle: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<Server> {
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return server;
}

const addressOf = (server: Server): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
