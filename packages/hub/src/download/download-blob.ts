/**
 * Downloads one file into the cache, going on where an earlier attempt stopped.
 *
 * Bytes go to `<blob>.incomplete` at their own positions. The address names a commit, so its
 * content never changes: a rest fetched later fits, and two processes that write the same partial
 * file write the same bytes. The whole is checked against the hash that the hub lists before it
 * gets its name.
 */
import { PeftError } from '@peft/errors';
import { constants } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sizeOf } from './hub-cache.js';
import { type HubRequest, reasonOf, statusError } from './hub-error.js';
import type { HubFile } from './list-model.js';
import { hasHash } from './verified-blobs.js';

export interface BlobDownload {
  readonly request: HubRequest;
  /** The file's name in the repository. */
  readonly file: string;
  readonly expected: HubFile;
  readonly url: string;
  /** Where the blob will be. */
  readonly path: string;
  readonly fetch: typeof globalThis.fetch;
  readonly signal?: AbortSignal;
  /** Attempts after the first that may fail in a row without a byte of progress. */
  readonly retries: number;
  /** Wait before the first of them, doubled for each further one. */
  readonly retryDelayMs: number;
  /** Called with the bytes that are there now. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * @throws PEFT_HUB_INTERRUPTED the connection failed too often; what came is kept and a further
 *   call goes on from there.
 * @throws PEFT_HUB_MISMATCH the content is not what the hub lists; nothing is kept.
 * @throws PEFT_HUB_UNAUTHORIZED, PEFT_HUB_NOT_FOUND, PEFT_HUB_STATUS
 */
export async function downloadBlob(job: BlobDownload): Promise<void> {
  const { path, expected, onBytes } = job;
  if ((await sizeOf(path)) !== expected.size) {
    await mkdir(dirname(path), { recursive: true });
    try {
      await completePartial(job, `${path}.incomplete`);
      await rename(`${path}.incomplete`, path);
    } catch (error) {
      const wasFirst =
        (error as NodeJS.ErrnoException).code === 'ENOENT' &&
        (await sizeOf(path)) === expected.size;
      // else another process has renamed the partial file that both were writing
      if (!wasFirst) throw error;
    }
  }
  onBytes(expected.size);
}

/**
 * Downloads and checks; where an earlier part may have been at fault, once more from the beginning.
 */
async function completePartial(job: BlobDownload, partial: string): Promise<void> {
  const resumed = ((await sizeOf(partial)) ?? 0) > 0;
  for (const lastAttempt of resumed ? [false, true] : [true]) {
    await fetchAll(job, partial);
    if (await hasHash(partial, job.expected.etag, job.expected.size)) return;
    await rm(partial, { force: true });
    if (lastAttempt)
      throw mismatch(job, `its content is not what the hub lists (hash ${job.expected.etag})`);
  }
}

/** Until the partial file has all bytes. */
async function fetchAll(job: BlobDownload, partial: string): Promise<void> {
  for (let failures = 0; ;) {
    const before = (await sizeOf(partial)) ?? 0;
    if (before > job.expected.size) await rm(partial);
    else if (before === job.expected.size && before > 0) return;
    try {
      await fetchRest(job, partial, before > job.expected.size ? 0 : before);
      return;
    } catch (error) {
      if (job.signal?.aborted || (error instanceof PeftError && error.code !== 'PEFT_HUB_STATUS'))
        throw error;
      const there = (await sizeOf(partial)) ?? 0;
      failures = there > before ? 1 : failures + 1;
      if (failures > job.retries) throw interrupted(job, there, error);
      await delay(job.retryDelayMs * 2 ** (failures - 1), undefined, { signal: job.signal });
    }
  }
}

/** One request for the bytes from `start` on. */
async function fetchRest(job: BlobDownload, partial: string, start: number): Promise<void> {
  const { expected, url, onBytes } = job;
  const response = await job.fetch(url, {
    headers:
      start > 0
        ? { 'accept-encoding': 'identity', range: `bytes=${start}-` }
        : { 'accept-encoding': 'identity' },
  });
  // what is there is no beginning of it
  if (response.status === 416) await rm(partial, { force: true });
  if (!response.ok) {
    await response.body?.cancel();
    throw statusError(job.request, response.status, `the file ${job.file}`);
  }
  const file = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o644);
  try {
    let at = firstByte(job, response, start);
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      if (at + chunk.length > expected.size)
        throw mismatch(job, `it has more than the ${expected.size} bytes that the hub lists`);
      for (let written = 0; written < chunk.length;)
        written += (await file.write(chunk, written, chunk.length - written, at + written))
          .bytesWritten;
      at += chunk.length;
      onBytes(at);
    }
    if (at < expected.size)
      throw new Error(`the connection ended after ${at} of ${expected.size} bytes`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Where the answer's bytes belong: a server may ignore the range and send everything. */
function firstByte(job: BlobDownload, response: Response, start: number): number {
  if (response.status !== 206) return 0;
  const [, first, total] =
    /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? [];
  if (Number(first) !== start || (total !== '*' && Number(total) !== job.expected.size)) {
    throw mismatch(
      job,
      `bytes from ${start} of ${job.expected.size} were asked for and "${response.headers.get('content-range')}" came`,
    );
  }
  return start;
}

const mismatch = ({ file, request }: BlobDownload, problem: string): PeftError =>
  new PeftError(
    'PEFT_HUB_MISMATCH',
    `hub: the file ${file} of ${JSON.stringify(request.name)} was not accepted: ${problem}.`,
    {
      hint: `Try again; if it stays so, something between here and ${request.endpoint} changes files.`,
    },
  );

function interrupted(
  { file, request, expected }: BlobDownload,
  there: number,
  cause: unknown,
): PeftError {
  if (cause instanceof PeftError) return cause;
  return new PeftError(
    'PEFT_HUB_INTERRUPTED',
    `hub: the download of ${file} of ${JSON.stringify(request.name)} stopped after ` +
      `${there} of ${expected.size} bytes: ${reasonOf(cause)}.`,
    { hint: 'Run the command again; it goes on from there.', cause },
  );
}
