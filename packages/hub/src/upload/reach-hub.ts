/** The hub as an upload reaches it: with a token, and with what the repository holds. */
import { PeftError } from '@peft/errors';
import { authorizedFetch } from '../download/authorized-fetch.js';
import { hubEnvironment } from '../download/hub-environment.js';
import type { HubRequest } from '../download/hub-error.js';
import { environmentFetch, withPatience } from '../download/hub-fetch.js';
import { listModel, type HubListing } from '../download/list-model.js';
import type { ResolveModelOptions } from '../download/resolve-model.js';

export interface ReachedHub {
  readonly request: HubRequest;
  readonly token: string | undefined;
  readonly fetch: typeof globalThis.fetch;
  /** What the repository holds; undefined where there is none, and where nobody asked. */
  readonly listing: HubListing | undefined;
  readonly wasAsked: boolean;
}

interface ReachOptions extends Pick<
  ResolveModelOptions,
  'endpoint' | 'fetch' | 'offline' | 'signal' | 'silenceMs'
> {
  readonly token?: string;
  readonly dryRun?: boolean;
}

/** @throws PEFT_HUB_OFFLINE, PEFT_HUB_UNAUTHORIZED a push needs both; a dry run asks where it may */
export async function reachHub(name: string, options: ReachOptions): Promise<ReachedHub> {
  const environment = hubEnvironment();
  const token = options.token ?? environment.token;
  const isOffline = options.offline ?? environment.offline;
  const endpoint = (options.endpoint ?? environment.endpoint).replace(/\/+$/, '');
  const request = { name, revision: 'main', endpoint, hasToken: token !== undefined };
  const fetch = authorizedFetch(
    endpoint,
    token,
    withPatience(options.fetch ?? (await environmentFetch()), options.silenceMs),
    options.signal,
  );
  const wasAsked = token !== undefined && !isOffline;
  if (!wasAsked && !options.dryRun) throw unsendable(request, isOffline);
  if (token !== undefined && !token.startsWith('hf_'))
    throw new PeftError('PEFT_HUB_UNAUTHORIZED', 'push: the token does not begin with hf_.', {
      hint: `copy it from ${endpoint}/settings/tokens`,
    });
  const listing = wasAsked ? await listingOf(request, fetch, options.signal) : undefined;
  return { request, token, fetch, listing, wasAsked };
}

const unsendable = ({ name, endpoint }: HubRequest, isOffline: boolean): PeftError =>
  isOffline
    ? new PeftError('PEFT_HUB_OFFLINE', `push: offline, and ${name} is to be sent.`, {
        hint: 'unset HF_HUB_OFFLINE, or look at what would be sent with dryRun (CLI: --dry-run)',
      })
    : new PeftError('PEFT_HUB_UNAUTHORIZED', `push: there is no token to write ${name} with.`, {
        hint:
          `make one with the right to write at ${endpoint}/settings/tokens and set HF_TOKEN, or ` +
          'name it with token (CLI: --token)',
      });

/** Undefined for a repository that is not there. */
async function listingOf(
  request: HubRequest,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal | undefined,
): Promise<HubListing | undefined> {
  try {
    return await listModel(request, fetch, { signal, recursive: true });
  } catch (error) {
    if (error instanceof PeftError && error.code === 'PEFT_HUB_NOT_FOUND') return undefined;
    throw error;
  }
}
