/** What a fake hub does with repositories that are made and files that are sent. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

type Files = Record<string, Uint8Array | string>;

/** What was sent, and what goes wrong; a test may change it between calls. */
export interface FakeUploads {
  /** Names of repositories that everyone can see. */
  readonly publicNames: Set<string>;
  /** Large files that have arrived, by SHA-256, committed or not. */
  readonly stored: Map<string, Buffer>;
  /** Titles of the commits. */
  readonly titles: string[];
  /** The large file with this number (from 0) is not taken. */
  failAtUpload?: number;
  /** Commits on another parent than this are refused. */
  expectParent?: string;
}

export const noUploads = (): FakeUploads => ({
  publicNames: new Set(),
  stored: new Map(),
  titles: [],
});

/** From so many bytes on a file is large, and sent to the storage. */
const LARGE_BYTES = 1000;

/**
 * Answers the calls that write.
 * @param storage address of the second origin.
 * @returns whether the request was one of them
 */
export async function answerUpload(
  request: IncomingMessage,
  response: ServerResponse,
  models: Record<string, Files>,
  uploads: FakeUploads,
  storage: string,
): Promise<boolean> {
  if (request.method !== 'POST') return false;
  const body = await bodyOf(request);
  const json = (value: unknown, status = 200): true => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    return true;
  };
  const { pathname } = new URL(request.url!, 'http://hub');
  if (pathname === '/api/repos/create') return json(...created(body, models, uploads));
  const [, preuploadOf] = /^\/api\/models\/(.+)\/preupload\/main$/.exec(pathname) ?? [];
  if (preuploadOf !== undefined) {
    const { files } = JSON.parse(body.toString()) as { files: { path: string; size: number }[] };
    return json({
      files: files.map(({ path, size }) => ({
        path,
        uploadMode: size >= LARGE_BYTES ? 'lfs' : 'regular',
      })),
    });
  }
  if (pathname.endsWith('.git/info/lfs/objects/batch')) {
    const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
    return json({
      transfer: 'basic',
      objects: objects.map(({ oid, size }) => ({
        oid,
        size,
        actions: uploads.stored.has(oid)
          ? undefined
          : { upload: { href: `${storage}/put/${oid}` } },
      })),
    });
  }
  const [, commitOf] = /^\/api\/models\/(.+)\/commit\/main$/.exec(pathname) ?? [];
  if (commitOf === undefined) return false;
  return json(...committed(body, models[commitOf]!, uploads));
}

/** Takes a large file if it is what it says. */
export async function answerStorage(
  request: IncomingMessage,
  response: ServerResponse,
  uploads: FakeUploads,
): Promise<boolean> {
  if (request.method !== 'PUT') return false;
  const body = await bodyOf(request);
  const oid = request.url!.split('/').at(-1)!;
  const isRight = createHash('sha256').update(body).digest('hex') === oid;
  const fails = uploads.stored.size === uploads.failAtUpload || !isRight;
  if (!fails) uploads.stored.set(oid, body);
  response.writeHead(fails ? 500 : 200).end();
  return true;
}

type Answer = readonly [value: unknown, status?: number];

function created(body: Buffer, models: Record<string, Files>, uploads: FakeUploads): Answer {
  const { name, organization, visibility } = JSON.parse(body.toString()) as Record<string, string>;
  const full = `${organization}/${name}`;
  models[full] = { '.gitattributes': '*.safetensors filter=lfs' };
  if (visibility !== 'private') uploads.publicNames.add(full);
  return [{ url: `http://hub/${full}`, id: full }];
}

function committed(body: Buffer, files: Files, uploads: FakeUploads): Answer {
  const [header, ...entries] = body
    .toString()
    .split('\n')
    .map((line) => JSON.parse(line) as { key: string; value: Record<string, string> });
  if (uploads.expectParent && header!.value['parentCommit'] !== uploads.expectParent)
    return [{ error: 'the branch has moved on' }, 412];
  uploads.titles.push(header!.value['summary']!);
  for (const { key, value } of entries)
    files[value['path']!] =
      key === 'lfsFile'
        ? uploads.stored.get(value['oid']!)!
        : Buffer.from(value['content']!, 'base64');
  return [{ commitOid: 'c'.repeat(40), commitUrl: 'http://hub/commit' }];
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
