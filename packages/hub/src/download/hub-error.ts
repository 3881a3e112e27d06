/** What the hub's answers mean for the user. */
import { PeftError } from '@peft/errors';

/** What was asked for. */
export interface HubRequest {
  readonly name: string;
  readonly revision: string;
  readonly endpoint: string;
  readonly hasToken: boolean;
}

/**
 * The error for an answer of the hub that is no success.
 * @param what for instance `the file config.json`.
 */
export function statusError(
  { name, revision, endpoint, hasToken }: HubRequest,
  status: number,
  what: string,
  cause?: unknown,
): PeftError {
  const where = `${JSON.stringify(name)} at revision ${JSON.stringify(revision)} on ${endpoint}`;
  if (status === 401 || status === 403) {
    const hint = hasToken
      ? 'Check that the token in HF_TOKEN may read it: it may be private, or ask you to ' +
        `accept its terms at ${endpoint}/${name}.`
      : `Set HF_TOKEN to a token of yours (${endpoint}/settings/tokens) if the model is ` +
        'private or gated; check the name if it is public.';
    return new PeftError(
      'PEFT_HUB_UNAUTHORIZED',
      `hub: not allowed to read ${what} of ${where} (status ${status}${hasToken ? '' : ', no token was sent'}).`,
      { hint, cause },
    );
  }
  if (status === 404) {
    return new PeftError(
      'PEFT_HUB_NOT_FOUND',
      `hub: there is no ${what.replace(/^the /, '')} of ${where}.`,
      {
        hint:
          'Check the spelling of the name (organisation/model) and the revision; there is no ' +
          `folder ${JSON.stringify(name)} here either. A private model needs HF_TOKEN.`,
        cause,
      },
    );
  }
  return new PeftError('PEFT_HUB_STATUS', `hub: status ${status} for ${what} of ${where}.`, {
    hint:
      status === 429
        ? 'Too many requests; wait some minutes, and set HF_TOKEN for a higher limit.'
        : 'Try again later.',
    cause,
  });
}

/** The error for a request without an answer. */
export function unreachableError({ name, endpoint }: HubRequest, cause: unknown): PeftError {
  return new PeftError(
    'PEFT_HUB_UNREACHABLE',
    `hub: ${endpoint} cannot be reached to get ${JSON.stringify(name)}: ${reasonOf(cause)}.`,
    {
      hint:
        'Check the network. Without one, name a folder with the model, or set HF_HUB_CACHE to ' +
        'a cache that has it; HF_ENDPOINT names a mirror.',
      cause,
    },
  );
}

/** The answer is not what the hub's interface promises. */
export function responseError({ name, endpoint }: HubRequest, problem: string): PeftError {
  return new PeftError(
    'PEFT_HUB_RESPONSE',
    `hub: the answer of ${endpoint} about ${JSON.stringify(name)} ${problem}.`,
    { hint: 'Check HF_ENDPOINT; a proxy or a mirror may be changing answers.' },
  );
}

/** `fetch` puts the reason underneath. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error
    ? error.cause.message || String((error.cause as NodeJS.ErrnoException).code ?? error.message)
    : error.message;
}
