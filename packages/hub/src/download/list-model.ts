/** Asks the hub what a model's revision is and holds. */
import { PeftError } from '@peft/errors';
import { isCommit } from './hub-cache.js';
import { type HubRequest, responseError, statusError, unreachableError } from './hub-error.js';

export interface HubFile {
  /** Bytes. */
  readonly size: number;
  /**
   * The blob's name in the cache: SHA-256 of the content for large files, Git's SHA-1 for the
   * others.
   */
  readonly etag: string;
}

export interface HubListing {
  readonly commit: string;
  readonly isPrivate: boolean;
  /** Files of the top folder by name, or of all folders by path. */
  readonly files: ReadonlyMap<string, HubFile>;
}

/**
 * Two requests: the commit of the revision, and the files of that commit.
 *
 * @param fetch sends the token and honours the signal.
 * @param signal its own error passes unchanged.
 * @param recursive files of all folders.
 * @throws PEFT_HUB_UNAUTHORIZED, PEFT_HUB_NOT_FOUND, PEFT_HUB_STATUS, PEFT_HUB_UNREACHABLE,
 *   PEFT_HUB_RESPONSE
 */
export async function listModel(
  request: HubRequest,
  fetch: typeof globalThis.fetch,
  {
    signal,
    recursive = false,
  }: { readonly signal?: AbortSignal; readonly recursive?: boolean } = {},
): Promise<HubListing> {
  const { HubApiError, listFiles, modelInfo } = await import('@huggingface/hub');
  const { name, revision, endpoint: hubUrl } = request;
  const files = new Map<string, HubFile>();
  try {
    const { sha: commit, private: isPrivate } = await modelInfo({
      name,
      revision,
      hubUrl,
      fetch,
      additionalFields: ['sha'],
    });
    if (typeof commit !== 'string' || !isCommit(commit))
      throw responseError(request, 'names no commit');
    for await (const entry of listFiles({
      repo: { type: 'model', name },
      revision: commit,
      recursive,
      hubUrl,
      fetch,
    })) {
      if (entry.type !== 'file') continue;
      const etag = entry.lfs?.oid ?? entry.oid;
      if (
        typeof entry.path !== 'string' ||
        !Number.isSafeInteger(entry.size) ||
        entry.size < 0 ||
        !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag ?? '')
      )
        throw responseError(request, 'lists a file without a name, a size or a hash');
      files.set(entry.path, { size: entry.size, etag: etag! });
    }
    return { commit, isPrivate, files };
  } catch (error) {
    if (error instanceof PeftError || signal?.aborted) throw error;
    if (error instanceof HubApiError)
      throw statusError(request, error.statusCode, 'the model', error);
    if (error instanceof SyntaxError) throw responseError(request, 'is no JSON');
    throw unreachableError(request, error);
  }
}
