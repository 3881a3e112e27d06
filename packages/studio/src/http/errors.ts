/** Errors as answers. */
import { PeftError } from '@peft/errors';
import type { ErrorBody } from '../api-types.js';

/** Without the hint, which a message ends with. */
export function errorBody(error: unknown): ErrorBody {
  if (!(error instanceof Error)) return { error: { code: 'PEFT_STUDIO', message: String(error) } };
  const [message] = error.message.split('\n  hint: ');
  return error instanceof PeftError
    ? { error: { code: error.code, message: message!, hint: error.hint } }
    : { error: { code: 'PEFT_STUDIO', message: message! } };
}

/** Faults of ours are 500, what a request asked wrongly 400. */
export const statusOf = (error: unknown): 400 | 500 => (error instanceof PeftError ? 400 : 500);
