/** What goes between an application and the thread that its predictor lives in. */
import type { TrainEvent } from '@peft/core';
import { PeftError } from '@peft/errors';
import type { LoadOptions, PredictorOptions } from '../settings/predictor-types.js';

/** Calls that a thread answers: methods of PeftPredictor by their names. */
export const THREAD_CALLS = Object.freeze([
  'fit',
  'evaluate',
  'predict',
  'predictProba',
  'extractEmbedding',
  'rank',
  'save',
  'fitSummary',
  'describe',
] as const);
export type ThreadCall = (typeof THREAD_CALLS)[number];

/** What third parties bring to a thread, which functions and classes cannot cross to. */
export interface ThreadPlugins {
  /**
   * Modules (paths relative to the working folder, or names of packages) whose exported methods,
   * engines and model families the thread imports. They are code, and run. Default: none.
   */
  readonly plugins?: readonly string[];
}

/** What the thread starts with: a new predictor, or a folder to load. */
export type ThreadStart =
  | { readonly options: PredictorOptions & ThreadPlugins }
  | { readonly load: string; readonly options: LoadOptions & ThreadPlugins };

/** To the thread. */
export type ThreadRequest =
  | {
      readonly id: number;
      readonly call: ThreadCall;
      readonly values: readonly unknown[];
      /** The last value is options that a signal belongs to. */
      readonly hasSignal: boolean;
    }
  | { readonly abort: number };

/** An error as it crosses: class, code and hint would be lost. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
  readonly hint?: string;
}

/** From the thread. */
export type ThreadAnswer =
  | { readonly ready: true }
  | { readonly failed: SentError }
  | { readonly event: TrainEvent }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SentError };

/** An error as a message to another thread. */
export function sendError(error: unknown): SentError {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  return error instanceof PeftError
    ? { name, message, stack, code: error.code, hint: error.hint }
    : { name, message, stack };
}

/** The error that the other thread sent, with its code and stack. */
export function receiveError({ name, message, stack, code, hint }: SentError): Error {
  const tail = hint === undefined ? '' : `\n  hint: ${hint}`;
  const plain = message.endsWith(tail) ? message.slice(0, message.length - tail.length) : message;
  const error = code === undefined ? new Error(message) : new PeftError(code, plain, { hint });
  error.name = name;
  error.stack = stack;
  return error;
}
