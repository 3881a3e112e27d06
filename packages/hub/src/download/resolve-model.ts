/** From what a user calls a model to a folder with its files. */
import { check, PeftError } from '@peft/errors';
import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { readCheckpointIndex } from '../safetensors/checkpoint-index.js';
import { downloadBlob } from './download-blob.js';
import { isCommit, ModelCache } from './hub-cache.js';
import { hubEnvironment } from './hub-environment.js';
import type { HubRequest } from './hub-error.js';
import { type HubFile, listModel } from './list-model.js';
import { type ModelFileKind, selectModelFiles } from './model-files.js';

export interface ResolveModelOptions {
  /** Branch, tag or commit on the hub. Default `main`. */
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
  /** Sends the requests, for instance through a proxy. Default: the global one. */
  readonly fetch?: typeof globalThis.fetch;
}

export interface DownloadProgress {
  readonly file: string;
  readonly fileDoneBytes: number;
  readonly fileTotalBytes: number;
  /** Of all files that this call needs and knows of, those found in the cache included. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/**
 * The folder of a model: a folder itself, or a hub name (`org/model`) whose needed files are
 * downloaded into the cache that Python uses. A cached model is used without a request; an
 * interrupted download goes on where it stopped.
 *
 * @param nameOrFolder a folder wins over a hub name; what begins with `.`, `/` or `~` is never a
 *   hub name.
 * @returns an absolute path.
 * @throws PEFT_MODEL_FOLDER, PEFT_MODEL_NAME neither a folder nor a possible name.
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
  const folder = localFolder(nameOrFolder);
  if (folder !== undefined) return folder;
  const environment = hubEnvironment();
  const revision = checkedRevision(options.revision ?? 'main');
  const kinds = options.files ?? ['config', 'tokenizer', 'weights'];
  const cache = new ModelCache(options.cacheDir ?? environment.cacheDir, nameOrFolder);

  const cached = await cache.commitOf(revision);
  const offline = options.offline ?? environment.offline;
  if (cached !== undefined && (offline || !options.refresh || isCommit(revision))) {
    const missing = await cache.missingKinds(cached, kinds);
    if (missing.length === 0 || (offline && missing.every((kind) => kind === 'tokenizer')))
      return cache.snapshot(cached);
    if (offline)
      throw offlineError(
        nameOrFolder,
        revision,
        `the cache has only a part of it (missing: ${missing.join(', ')})`,
      );
  }
  if (offline) throw offlineError(nameOrFolder, revision, 'the cache does not have it');
  const token = options.token === false ? undefined : (options.token ?? environment.token);
  const endpoint = (options.endpoint ?? environment.endpoint).replace(/\/+$/, '');
  return download(
    { name: nameOrFolder, revision, endpoint, hasToken: token !== undefined },
    kinds,
    cache,
    token,
    options,
  );
}

async function download(
  request: HubRequest,
  kinds: readonly ModelFileKind[],
  cache: ModelCache,
  token: string | undefined,
  options: ResolveModelOptions,
): Promise<string> {
  const fetch = authorizedFetch(request.endpoint, token, options);
  const { commit, files: listed } = await listModel(request, fetch, options.signal);
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
      ...(signal ? { signal } : {}),
    });
    await cache.linkFile(commit, file, expected.etag);
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

/** The token goes to the hub alone, whatever address its answers name. */
function authorizedFetch(
  endpoint: string,
  token: string | undefined,
  { fetch = globalThis.fetch, signal }: ResolveModelOptions,
): typeof globalThis.fetch {
  return (input, init) => {
    const url = new URL(String(input));
    const headers = new Headers(init?.headers);
    headers.set('user-agent', '@peft/hub');
    if (token !== undefined && url.origin === new URL(endpoint).origin)
      headers.set('authorization', `Bearer ${token}`);
    return fetch(url, { ...init, headers, ...(signal ? { signal } : {}) });
  };
}

/** The folder that the text names, or undefined where it can only be a hub name. */
function localFolder(nameOrFolder: string): string | undefined {
  check.string('resolveModel', 'nameOrFolder', nameOrFolder);
  const path = resolve(nameOrFolder.replace(/^~(?=$|[\\/])/, homedir()));
  const stat = nameOrFolder === '' ? undefined : statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return path;
  if (stat)
    throw new PeftError('PEFT_MODEL_FOLDER', `hub: ${path} is a file, not the folder of a model.`, {
      hint: 'Name the folder that holds config.json and the weights.',
    });
  if (/^(\.|~|\/|\\|[A-Za-z]:[\\/])/.test(nameOrFolder))
    throw new PeftError('PEFT_MODEL_FOLDER', `hub: there is no model folder at ${path}.`, {
      hint: 'Check the path.',
    });
  if (!isHubName(nameOrFolder))
    throw new PeftError(
      'PEFT_MODEL_NAME',
      `hub: ${JSON.stringify(nameOrFolder)} is neither a folder nor a possible name on the hub.`,
      { hint: 'A folder needs the right path; a name on the hub reads organisation/model.' },
    );
  return undefined;
}

/**
 * The hub's own rules: letters, digits, `-`, `_` and `.`, at most 96, no `--` or `..`, neither `-`
 * nor `.` at an end.
 */
function isHubName(name: string): boolean {
  const parts = name.split('/');
  return (
    parts.length <= 2 &&
    parts.every((part) => part.length <= 96 && /^\w([\w.-]*\w)?$/.test(part)) &&
    !/--|\.\.|\.git$/.test(name)
  );
}

/** A revision becomes a file name in the cache. */
function checkedRevision(revision: string): string {
  if (
    !/^[\w][\w./+-]*$/.test(revision) ||
    revision.split('/').some((part) => part === '' || part === '.' || part === '..')
  ) {
    throw new PeftError(
      'PEFT_HUB_REVISION',
      `hub: ${JSON.stringify(revision)} is no branch, tag or commit.`,
      { hint: 'Use for instance "main", "v1.0" or the 40 characters of a commit.' },
    );
  }
  return revision;
}

const sum = (values: Iterable<number>): number =>
  [...values].reduce((total, value) => total + value, 0);

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
    `hub: ${JSON.stringify(name)} at revision ${JSON.stringify(revision)} has no ${missing.slice(0, 3).join(', ')}; it holds ${shown || 'no files'}.`,
    {
      hint: 'A model needs config.json and its weights as safetensors or pytorch_model.bin; other formats (GGUF, TensorFlow, Flax) are not read.',
    },
  );
}
