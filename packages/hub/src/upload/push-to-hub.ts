/** A folder's model or adapter on the Hugging Face hub. */
import { pathToFileURL } from 'node:url';
import type { CommitProgressEvent } from '@huggingface/hub';
import { check, PeftError, show } from '@peft/errors';
import type { HubListing } from '../download/list-model.js';
import { isHubName } from '../download/model-reference.js';
import type { ResolveModelOptions } from '../download/resolve-model.js';
import { hasHash } from '../download/verified-blobs.js';
import { filesToPush, type FileToPush } from './files-to-push.js';
import { reachHub, type ReachedHub } from './reach-hub.js';
import { uploadError } from './upload-error.js';

/** What is sent, and how. */
export interface PushOptions extends Pick<
  ResolveModelOptions,
  'endpoint' | 'fetch' | 'offline' | 'signal' | 'silenceMs'
> {
  /** Who may see a repository that is new. Default true: its owners alone. */
  readonly private?: boolean;
  /** Say what would be sent, and send nothing. Default false. */
  readonly dryRun?: boolean;
  /** Files and folders to send beside the model's own. */
  readonly include?: readonly string[];
  /** Title of the commit. */
  readonly message?: string;
  /** One that may write. Default: `HF_TOKEN` or the file that `hf auth login` wrote. */
  readonly token?: string;
  /** Told of everything that will be sent, before anything is. */
  readonly onPlan?: (plan: PushPlan) => void;
  /** Told when a large file begins (0) and has arrived (1). */
  readonly onProgress?: (progress: { readonly file: string; readonly done: number }) => void;
}

/** A file of the plan. */
export interface PushedFile {
  readonly path: string;
  readonly bytes: number;
  /** The hub has it already, with the same content. */
  readonly isThere: boolean;
}

/** What a push would send. */
export interface PushPlan {
  /** `org/name`. */
  readonly name: string;
  /** Where people look at it. */
  readonly url: string;
  /** The repository is made by this push; undefined where a dry run did not ask the hub. */
  readonly isNew: boolean | undefined;
  readonly isPrivate: boolean;
  readonly files: readonly PushedFile[];
  /** What lies in the folder and is not sent. */
  readonly leftOut: readonly string[];
  /** Weights that the repository has and this push does not touch. */
  readonly otherWeights: readonly string[];
}

/** What a push has sent. */
export interface PushResult extends PushPlan {
  /** Of the commit; undefined after a dry run, and where the hub had everything. */
  readonly commit: string | undefined;
}

const KEYS = [
  'private',
  'dryRun',
  'include',
  'message',
  'token',
  'onPlan',
  'onProgress',
  'endpoint',
  'fetch',
  'offline',
  'signal',
  'silenceMs',
] as const;

/**
 * Sends a model, an adapter, or the adapter of what fit saved to a repository of the hub, in one
 * commit. Files whose content the hub has are not sent again, so that the same call goes on where
 * one was interrupted.
 *
 * @param folder what to send: its model's files, never checkpoints, events or what else lies there
 * @param name `org/name`; made where it is missing, private unless `private: false`
 * @throws PEFT_PUSH_FOLDER, PEFT_PUSH_INCLUDE, PEFT_MODEL_NAME
 * @throws PEFT_PUSH_PUBLIC the repository is there and everyone can see it
 * @throws PEFT_HUB_OFFLINE, PEFT_HUB_UNAUTHORIZED, PEFT_HUB_CHANGED, PEFT_HUB_UNREACHABLE,
 *   PEFT_HUB_STATUS, PEFT_HUB_RESPONSE
 */
export async function pushToHub(
  folder: string,
  name: string,
  options: PushOptions = {},
): Promise<PushResult> {
  check.knownKeys('pushToHub', options, KEYS);
  checkName(name);
  const { leftOut, files } = filesToPush(folder, options.include);
  const hub = await reachHub(name, options);
  const { listing } = hub;
  if (listing && !listing.isPrivate && options.private !== false)
    throw new PeftError(
      'PEFT_PUSH_PUBLIC',
      `push: everyone can see ${name} on ${hub.request.endpoint}.`,
      {
        hint: 'send it there with private: false (CLI: --public), or give another name',
      },
    );
  const missing = await missingOn(listing, files);
  const plan: PushPlan = {
    name,
    url: `${hub.request.endpoint}/${name}`,
    isNew: hub.wasAsked ? listing === undefined : undefined,
    isPrivate: listing?.isPrivate ?? options.private ?? true,
    files: files.map((file) => ({
      path: file.path,
      bytes: file.bytes,
      isThere: !missing.includes(file),
    })),
    leftOut,
    otherWeights: otherWeights(listing, files),
  };
  options.onPlan?.(plan);
  if (options.dryRun || missing.length === 0) return { ...plan, commit: undefined };
  return { ...plan, commit: await upload(hub, missing, options) };
}

/** The files that the hub lacks or has with another content. */
async function missingOn(
  listing: HubListing | undefined,
  files: readonly FileToPush[],
): Promise<FileToPush[]> {
  const missing: FileToPush[] = [];
  for (const file of files) {
    const there = listing?.files.get(file.path);
    const isSame =
      there !== undefined &&
      there.size === file.bytes &&
      (await hasHash(file.place, there.etag, file.bytes));
    if (!isSame) missing.push(file);
  }
  return missing;
}

/** One that a loader might take instead of what was sent. */
function otherWeights(listing: HubListing | undefined, files: readonly FileToPush[]): string[] {
  const sent = new Set(files.map(({ path }) => path));
  return [...(listing?.files.keys() ?? [])].filter(
    (path) => !sent.has(path) && /\.(safetensors|bin)(\.index\.json)?$/.test(path),
  );
}

/** @returns the commit */
async function upload(
  { request, token, fetch, listing }: ReachedHub,
  files: readonly FileToPush[],
  { private: isPrivate = true, message, signal, onProgress }: PushOptions,
): Promise<string | undefined> {
  const { commitIter, createRepo } = await import('@huggingface/hub');
  const { name, endpoint: hubUrl } = request;
  const repo = { type: 'model', name } as const;
  try {
    if (!listing)
      await createRepo({ repo, private: isPrivate, hubUrl, fetch, accessToken: token! });
    const events = commitIter({
      repo,
      hubUrl,
      fetch,
      accessToken: token,
      title: message ?? `Upload ${files.length === 1 ? files[0]!.path : `${files.length} files`}`,
      parentCommit: listing?.commit,
      operations: files.map(({ path, place }) => ({
        operation: 'addOrUpdate',
        path,
        content: pathToFileURL(place),
      })),
    });
    for (;;) {
      const { done, value } = await events.next();
      if (done) return value?.commit.oid;
      tellProgress(value, onProgress);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw uploadError(request, error);
  }
}

function tellProgress(event: CommitProgressEvent, onProgress: PushOptions['onProgress']): void {
  if (event.event === 'fileProgress' && event.state === 'uploading')
    onProgress?.({ file: event.path, done: event.progress });
}

/** @throws PEFT_MODEL_NAME for what is not `org/name` */
function checkName(name: string): void {
  if (isHubName(name) && name.includes('/')) return;
  throw new PeftError('PEFT_MODEL_NAME', `push: ${show(name)} is no name on the hub.`, {
    hint: 'give organisation/model, or user/model',
  });
}
