/** What the hub's answers to an upload mean for the user. */
import { PeftError } from '@peft/errors';
import {
  responseError,
  statusError,
  unreachableError,
  type HubRequest,
} from '../download/hub-error.js';

/** The error for whatever ended an upload. */
export function uploadError(request: HubRequest, error: unknown): PeftError {
  const { name, endpoint } = request;
  if (error instanceof PeftError) return error;
  if (error instanceof SyntaxError) return responseError(request, 'is no JSON');
  // only the hub's own errors have a status
  const { statusCode: status } = error as { readonly statusCode?: number };
  if (status === undefined) return unreachableError(request, error);
  if (status === 401 || status === 403)
    return new PeftError(
      'PEFT_HUB_UNAUTHORIZED',
      `push: the token may not write ${name} on ${endpoint} (status ${status}).`,
      { hint: `make one with the right to write at ${endpoint}/settings/tokens`, cause: error },
    );
  if (status === 409 || status === 412)
    return new PeftError(
      'PEFT_HUB_CHANGED',
      `push: ${name} on ${endpoint} has changed meanwhile (status ${status}).`,
      { hint: 'look at what was committed there, and push again', cause: error },
    );
  return statusError(request, status, 'an upload', error);
}
