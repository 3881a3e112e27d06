/** Requests to an MLflow server, each within its time and with errors that name the server. */
import { PeftError } from '@peft/errors';

/** A body is posted; without one the path is got, and undefined where nothing is there. */
export type Ask = (
  path: string,
  body?: Readonly<Record<string, unknown>>,
) => Promise<Readonly<Record<string, unknown>> | undefined>;

/** What can be asked of one server. */
export interface MlflowRequests {
  /** Of the server, without a slash at its end. */
  readonly url: string;
  /** Of its REST API 2.0. @throws PEFT_MLFLOW */
  readonly ask: Ask;
  /** A file, under an address of the server's. @throws PEFT_MLFLOW */
  readonly put: (address: string, what: string, file: Blob) => Promise<void>;
  /** @throws PEFT_MLFLOW */
  readonly fail: (why: string, cause?: unknown) => never;
}

/** A slow line still carries so much. */
const LEAST_BYTES_PER_MS = 100;

/** @param timeoutMs of a request, to which a file adds by its size. */
export function mlflowRequests(given: string, timeoutMs: number): MlflowRequests {
  const url = given.replace(/\/+$/, '');
  const fail = (why: string, cause?: unknown): never => {
    throw new PeftError(
      'PEFT_MLFLOW',
      `trainer: MLflow at ${given} does not take the run: ${why}.`,
      {
        hint: 'the run goes on without; is the address that of an MLflow server?',
        cause,
      },
    );
  };
  const answered = async (address: string, init: RequestInit, ms: number): Promise<Response> => {
    try {
      return await fetch(address, { ...init, signal: AbortSignal.timeout(ms) });
    } catch (error) {
      return fail((error as Error).message, error);
    }
  };
  return {
    url,
    fail,
    async ask(path, body) {
      const response = await answered(
        `${url}/api/2.0/mlflow/${path}`,
        body
          ? {
              method: 'POST',
              headers: { 'Content-Type': 'application/json' },
              body: JSON.stringify(body),
            }
          : { method: 'GET' },
        timeoutMs,
      );
      if (response.status === 404 && !body) return undefined;
      if (!response.ok) return fail(`${path} was answered with ${response.status}`);
      return response.json().catch((error: Error) => fail(error.message, error)) as ReturnType<Ask>;
    },
    async put(address, what, file) {
      const response = await answered(
        address,
        { method: 'PUT', body: file },
        timeoutMs + Math.ceil(file.size / LEAST_BYTES_PER_MS),
      );
      if (!response.ok) fail(`${what} was answered with ${response.status}`);
    },
  };
}
