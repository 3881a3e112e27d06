/** Downloads a file, going on where an earlier attempt stopped. */
import { existsSync, promises as fs } from 'node:fs';
import { basename, join } from 'node:path';
import { PeftError } from '@peft/errors';
import { environmentFetch, withPatience } from '@peft/hub';

export interface DownloadOptions {
  readonly onBytes?: (done: number, total: number | undefined) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * @returns the file in `folder`, named as the address ends.
 * @throws PEFT_SETUP_OFFLINE, PEFT_SETUP_DOWNLOAD
 */
export async function download(
  url: string,
  folder: string,
  { onBytes, signal }: DownloadOptions = {},
): Promise<string> {
  const target = join(folder, basename(new URL(url).pathname));
  if (existsSync(target)) return target;
  await fs.mkdir(folder, { recursive: true });
  const partial = `${target}.part`;
  const have = existsSync(partial) ? (await fs.stat(partial)).size : 0;
  const response = await withPatience(await environmentFetch())(url, {
    headers: have > 0 ? { range: `bytes=${have}-` } : {},
    signal,
  }).catch((cause: Error) => {
    throw signal?.aborted
      ? cause
      : offline(url, (cause.cause as Error | undefined)?.message ?? cause.message, cause);
  });
  if (response.status === 416 && have > 0) {
    // the part is as long as the file, or longer: start afresh
    await fs.rm(partial);
    return download(url, folder, { onBytes, signal });
  }
  if (!response.ok || !response.body)
    throw new PeftError(
      'PEFT_SETUP_DOWNLOAD',
      `setup: ${url} answered ${response.status} ${response.statusText}.`,
      { hint: 'check the address, or fetch the file yourself and name it with --from' },
    );
  const resumed = response.status === 206;
  const length = Number(response.headers.get('content-length'));
  const total = length > 0 ? length + (resumed ? have : 0) : undefined;
  let done = resumed ? have : 0;
  const file = await fs.open(partial, resumed ? 'a' : 'w');
  try {
    // a stream can be iterated in Node, which the browser's types do not say
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      // each is written before the next is asked for, so that nothing received is lost
      await file.write(chunk);
      done += chunk.length;
      onBytes?.(done, total);
    }
  } catch (cause) {
    throw signal?.aborted ? cause : offline(url, `the connection broke after ${done} bytes`, cause);
  } finally {
    await file.close();
  }
  if (total !== undefined && done !== total)
    throw offline(url, `the connection ended after ${done} of ${total} bytes`);
  await fs.rename(partial, target);
  return target;
}

export const offline = (what: string, reason: string, cause?: unknown): PeftError =>
  new PeftError('PEFT_SETUP_OFFLINE', `setup: ${what} could not be fetched: ${reason}.`, {
    hint:
      'run the same command again when there is a network (it goes on where it stopped), or ' +
      'carry the file here and name it: peft setup tensorflow --from FILE.whl --tfjs-node ' +
      'FILE.tgz',
    cause,
  });
