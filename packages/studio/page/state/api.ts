/** Asks the studio's server. */
import type { ErrorBody } from '../../src/api-types.js';

/** What the server refused, in its words. */
export class ApiFailure extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string | undefined,
  ) {
    super(message);
  }
}

type Parameters = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** A path with parameters that may hold anything. */
export function address(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    for (const each of [value].flat()) if (each !== undefined) query.append(name, String(each));
  const text = query.toString();
  return text === '' ? path : `${path}?${text}`;
}

export const get = async <T>(
  path: string,
  parameters?: Parameters,
  signal?: AbortSignal,
): Promise<T> => answerOf<T>(await fetch(address(path, parameters), { signal }));

export const post = async <T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> =>
  answerOf<T>(
    await fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    }),
  );

/** Sends a file as it is. */
export const send = async <T>(path: string, parameters: Parameters, file: Blob): Promise<T> =>
  answerOf<T>(await fetch(address(path, parameters), { method: 'POST', body: file }));

async function answerOf<T>(response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T;
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as ErrorBody;
    throw new ApiFailure(error.code, error.message, error.hint);
  } catch (failure) {
    if (failure instanceof ApiFailure) throw failure;
    throw new ApiFailure(`HTTP ${response.status}`, text, undefined);
  }
}
