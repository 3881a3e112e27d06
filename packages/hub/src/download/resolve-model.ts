/** From what a user calls a model to a folder with its files. */
import { PeftError } from '@peft/errors';
import { join } from 'node:path';
import { readCheckpointIndex } from '../safetensors/checkpoint-index.js';
import { authorizedFetch } from './authorized-fetch.js';
import { downloadBlob } from './download-blob.js';
import { isCommit, ModelCache } from './hub-cache.js';
import { hubEnvironment } from './hub-environment.js';
import type { HubRequest } from './hub-error.js';
import { environmentFetch, withPatience } from './hub-fetch.js';
import { type HubFile, listModel } from './list-model.js';
import { type ModelFileKind, selectModelFiles } from './model-files.js';
import { looksLikeFolder, modelReference } from './model-reference.js';

/** How a model's name is looked up, and what of it is downloaded. */
export interface ResolveModelOptions {
  /** Branch, tag or commit on the hub, as in `NAME@REVISION`. Default `main`. */
  readonly revision?: string;
  /** Which files are needed. Default config, tokenizer and weights. */
  readonly files?: readonly ModelFileKind[];
  /** Use the cache alone. Default: `HF_HUB_OFFLINE`. */
  readonly offline?: boolean;
  /** Ask the hub whether a branch has moved on although the cache has it. Default false. */
  readonly refresh?: boolean;
  /** Default: `HF_TOKEN` or the file that `hf auth login` wrote. False sends none. */
  readonly token?: string | false;
  /** Default: `HF_HUB_CACHE`, else `$HF_HOME/hub`. */
  readonly cacheDir?: string;
  /** Default: `HF_ENDPOINT`, else https://huggingface.co. */
  readonly endpoint?: string;
  /** Called often while bytes arrive. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Ends a download; what came is kept. */
  readonly signal?: AbortSignal;
  /** Attempts after a failed one, counted anew whenever bytes arrive. Default 4. */
  readonly retries?: number;
  /** Wait before the second attempt; each further one waits twice as long. Default 1000. */
  readonly retryDelayMs?: number;
  /**
   * Sends the requests. Default: through the proxy and with the certificates that the environment
   * names.
   */
  readonly fetch?: typeof globalThis.fetch;
  /** A server that sends nothing for as long is given up. Default 60,000. */
  readonly silenceMs?: number;
}

/** How far a download is. */
export interface DownloadProgress {
  readonly file: string;
  readonly fileDoneBytes: number;
  readonly fileTotalBytes: number;
  /** Of all files that this call needs and knows of, those found in the cache included. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/**
 * The folder of a model: a folder itself, or a hub name (`org/model`, `org/model@revision`) whose
 * needed files are downloaded into the cache that Python uses. A cached model is used without a
 * request, after each of its files was hashed once; an interrupted download goes on where it
 * stopped. Proxies (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`) are asked, and a server that is silent
 * for a minute is given up.
 *
 * @param nameOrFolder a folder wins over a hub name; what begins with `.`, `/` or `~` is never a
 *   hub name.
 * @returns an absolute path.
 * @throws PEFT_MODEL_FOLDER, PEFT_MODEL_NAME neither a folder nor a possible name; also where the
 *   first part of the name is a folder here and the hub has no such model.
 * @throws PEFT_HUB_REVISION no branch, tag or commit, two different ones, or one for a folder.
 * @throws PEFT_HUB_OFFLINE offline, and the cache does not have it.
 * @throws PEFT_HUB_UNAUTHORIZED, PEFT_HUB_NOT_FOUND, PEFT_HUB_FILES the hub does not give it, or it
 *   lacks a config or weights.
 * @throws PEFT_HUB_UNREACHABLE, PEFT_HUB_INTERRUPTED, PEFT_HUB_MISMATCH, PEFT_HUB_STATUS,
 *   PEFT_HUB_RESPONSE
 */
export async function resolveModel(
  nameOrFolder: string,
  options: ResolveModelOptions = {},
): Promise<string> {
  const reference = modelReference(nameOrFolder, options.revision);
  if ('folder' in reference) return reference.folder;
  try {
    return await resolveName(reference.name, reference.revision, options);
  } catch (error) {
    throw looksLikeFolder(reference.name) ? folderError(reference.name, error) : error;
  }
}

async function resolveName(
  name: string,
  named: string | undefined,
  options: ResolveModelOptions,
): Promise<string> {
  const environment = hubEnvironment();
  const revision = named ?? 'main';
  const kinds = options.files ?? ['config', 'tokenizer', 'weights'];
  const cacheDir = options.cacheDir ?? environment.cacheDir;
  const cache = new ModelCache(cacheDir, name);
  const offline = options.offline ?? environment.offline;

  const cached =
    (await cache.commitOf(revision)) ??
    (offline && named === undefined ? await cache.onlyCommit() : undefined);
  if (cached !== undefined && (offline || !options.refresh || isCommit(revision))) {
    const missing = await cache.missingKinds(cached, kinds);
    const spoiled = await cache.spoiledFiles(cached, kinds);
    const isWhole = missing.length === 0 || (offline && missing.every(isTokenizer));
    if (isWhole && spoiled.length === 0) return cache.snapshot(cached);
    if (offline)
      throw offlineError(
        name,
        revision,
        spoiled.length > 0
          ? `the cache has ${spoiled.join(', ')} with another content than was downloaded`
          : `the cache has only a part of it (missing: ${missing.join(', ')})`,
      );
    await cache.removeBlobs(cached, spoiled);
  }
  if (offline) throw offlineError(name, revision, 'the cache does not have it');
  const token = options.token === false ? undefined : (options.token ?? environment.token);
  const endpoint = (options.endpoint ?? environment.endpoint).replace(/\/+$/, '');
  return download(
    { name, revision, endpoint, hasToken: token !== undefined },
    kinds,
    cache,
    token,
    options,
  );
}

const isTokenizer = (kind: ModelFileKind): boolean => kind === 'tokenizer';

async function download(
  request: HubRequest,
  kinds: readonly ModelFileKind[],
  cache: ModelCache,
  token: string | undefined,
  options: ResolveModelOptions,
): Promise<string> {
  const fetch = authorizedFetch(
    request.endpoint,
    token,
    withPatience(options.fetch ?? (await environmentFetch()), options.silenceMs),
    options.signal,
  );
  const { commit, files: listed } = await listModel(request, fetch, options);
  const { files, index, missing } = selectModelFiles(listed.keys(), kinds);
  // a missing tokenizer is told by whoever needs it
  const vital = missing.filter((kind) => kind !== 'tokenizer');
  if (vital.length > 0) throw filesError(request, vital, [...listed.keys()]);

  const done = new Map<string, number>();
  const need = new Map<string, HubFile>();
  const add = (names: readonly string[]) =>
    names.forEach((name) => need.set(name, listed.get(name)!));
  const get = async (file: string) => {
    const expected = need.get(file)!;
    const onBytes = (bytes: number) => {
      done.set(file, bytes);
      options.onProgress?.({
        file,
        fileDoneBytes: bytes,
        fileTotalBytes: expected.size,
        doneBytes: sum(done.values()),
        totalBytes: sum([...need.values()].map(({ size }) => size)),
      });
    };
    const { retries = 4, retryDelayMs = 1000, signal } = options;
    const url = `${request.endpoint}/${request.name}/resolve/${commit}/${encodeURIComponent(file)}`;
    await downloadBlob({
      request,
      file,
      expected,
      url,
      path: cache.blob(expected.etag),
      fetch,
      retries,
      retryDelayMs,
      onBytes,
      signal,
    });
    await cache.linkFile(commit, file, expected.etag);
    await cache.recordSound(expected.etag);
  };

  add(files);
  if (index !== undefined) {
    await get(index);
    const { shards } = readCheckpointIndex(join(cache.snapshot(commit), index));
    const absent = shards.filter((shard) => !listed.has(shard));
    if (absent.length > 0) throw filesError(request, absent, [...listed.keys()]);
    add(shards);
  }
  for (const file of need.keys()) if (file !== index) await get(file);
  await cache.setCommit(request.revision, commit);
  return cache.snapshot(commit);
}

const sum = (values: Iterable<number>): number =>
  [...values].reduce((total, value) => total + value, 0);

/** `out/chat` beside a folder `out` was probably meant as a folder. */
function folderError(name: string, cause: unknown): unknown {
  if (!(cause instanceof PeftError)) return cause;
  const [first] = name.split('/');
  return new PeftError(
    'PEFT_MODEL_FOLDER',
    `hub: there is no folder ${name}, only ${first}, and no such model could be had from ` +
      `the hub (${cause.code}: ${cause.message})`,
    { hint: 'Check the path; for a model of the hub, see to the error in brackets.', cause },
  );
}

const offlineError = (name: string, revision: string, problem: string): PeftError =>
  new PeftError(
    'PEFT_HUB_OFFLINE',
    `hub: offline, and ${JSON.stringify(name)} at revision ${JSON.stringify(revision)} cannot be used: ${problem}.`,
    { hint: 'Unset HF_HUB_OFFLINE once to download it, or name a folder that holds the model.' },
  );

function filesError(
  { name, revision }: HubRequest,
  missing: readonly string[],
  there: readonly string[],
): PeftError {
  const shown = there.slice(0, 8).join(', ') + (there.length > 8 ? ', …' : '');
  return new PeftError(
    'PEFT_HUB_FILES',
    `hub: ${JSON.stringify(name)} at revision ${JSON.stringify(revision)} has no ` +
      `${missing.slice(0, 3).join(', ')}; it holds ${shown || 'no files'}.`,
    {
      hint:
        'A model needs config.json and its weights as safetensors, pytorch_model.bin or model.gguf; ' +
        'TensorFlow and Flax are not read. A GGUF file of another name is read from a path on this machine.',
    },
  );
}
