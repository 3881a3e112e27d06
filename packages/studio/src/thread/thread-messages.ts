/** What the studio and its thread tell each other. */
import type { SentError } from '@peft/predictor';
import type { ThreadCalls } from './thread-calls.js';

export interface ThreadQuestion {
  readonly id: number;
  readonly call: keyof ThreadCalls;
  readonly values: readonly unknown[];
}

/** Said once, when the thread has read its modules. */
export const READY = 'ready';

export type ThreadAnswer =
  | typeof READY
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SentError };
