/** Requests to the hub with the user's token. */

/** The token goes to the hub alone, whatever address its answers name. */
export function authorizedFetch(
  endpoint: string,
  token: string | undefined,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal | undefined,
): typeof globalThis.fetch {
  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    headers.set('user-agent', '@peft/hub');
    if (token !== undefined && url.origin === new URL(endpoint).origin)
      headers.set('authorization', `Bearer ${token}`);
    return fetch(url, { ...init, headers, signal: eitherOf(signal, init?.signal) });
  };
}

function eitherOf(
  one: AbortSignal | undefined,
  other: AbortSignal | null | undefined,
): AbortSignal | undefined {
  if (one === undefined || !other) return one ?? other ?? undefined;
  return AbortSignal.any([one, other]);
}
