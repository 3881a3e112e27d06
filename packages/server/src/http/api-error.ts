/** Errors as OpenAI's API writes them: `{ "error": { message, type, param, code } }`. */
import { PeftError } from '@peft/errors';

export class ApiError extends Error {
  constructor(
    readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 500 | 503,
    message: string,
    readonly details: { readonly param?: string; readonly code?: string } = {},
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** Codes of errors that a request causes, with their status; others are the server's own fault. */
const STATUS: Readonly<Record<string, ApiError['status']>> = {
  PEFT_BATCH_FULL: 503,
  PEFT_BATCH_DISPOSED: 503,
  PEFT_THREAD_ENDED: 503,
  PEFT_BATCH_TOO_LONG: 400,
  PEFT_CONTEXT_LENGTH: 400,
  PEFT_GENERATION_PROMPT: 400,
  PEFT_TOKEN_ID_RANGE: 400,
  PEFT_TASK_ID_MISSING: 400,
  PEFT_TASK_ID_RANGE: 400,
  PEFT_TASK_ID_UNUSED: 400,
  PEFT_CONFIG_INVALID: 400,
  PEFT_DATA_INVALID: 400,
  PEFT_COLUMN_MISSING: 400,
  PEFT_CHAT_TEMPLATE: 400,
  PEFT_CHAT_TEMPLATE_MISSING: 400,
  PEFT_ADAPTER_UNKNOWN: 404,
  PEFT_ADAPTER_NAME: 400,
  PEFT_ADAPTER_LIMIT: 400,
  PEFT_ADAPTER_MISMATCH: 400,
  PEFT_ADAPTER_MISSING: 400,
  PEFT_ADAPTER_INCOMPLETE: 400,
  PEFT_CACHE_ADAPTER: 400,
  PEFT_CONFIG_UNSUPPORTED: 400,
  PEFT_METHOD_UNKNOWN: 400,
  PEFT_TARGET_NOT_FOUND: 400,
};

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  500: 'server_error',
  503: 'overloaded_error',
};

/** What a client is told of an error: nothing of the server's inside where it is not to blame. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const status = error instanceof PeftError ? STATUS[error.code] : undefined;
  if (status === undefined) return new ApiError(500, 'The server failed to answer this request.');
  const { message, code } = error as PeftError;
  return new ApiError(status, message, { code });
}

export const errorBody = ({ status, message, details }: ApiError): object => ({
  error: {
    message,
    type: TYPES[status] ?? 'invalid_request_error',
    param: details.param ?? null,
    code: details.code ?? null,
  },
});
