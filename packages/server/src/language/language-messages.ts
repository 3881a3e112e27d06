/** What goes between the server and the thread that its language model lives in. */
import type { ChatMessage } from '@peft/data';
import type { ContinuousBatchOptions } from '@peft/generation';
import type { SentError } from '@peft/predictor';

/** What the thread starts with. */
export interface LanguageStart {
  /** Folder or hub id of a checkpoint, or a folder that `fit` saved. */
  readonly model: string;
  /** Folders of adapters by name. */
  readonly adapters: Readonly<Record<string, string>>;
  readonly engine: string | undefined;
  readonly precision: string | undefined;
  readonly threads: number | undefined;
  readonly chatTemplate: string | undefined;
  /** Modules that export methods, engines and model families. */
  readonly plugins: readonly string[];
  readonly maxAdapters: number;
  readonly batch: ContinuousBatchOptions;
  /** Tokens of prompt and answer at most; the model's own limit counts, too. */
  readonly contextTokens: number | undefined;
}

/** What the thread has, once it is ready. */
export interface LanguageCard {
  readonly modelType: string;
  readonly engine: string;
  /** Tokens of prompt and answer at most; Infinity where nothing bounds them. */
  readonly contextTokens: number;
  readonly hasChatTemplate: boolean;
}

export type TextPrompt =
  | { readonly text: string }
  | { readonly ids: readonly number[] }
  | { readonly messages: readonly ChatMessage[]; readonly tools?: readonly unknown[] };

/** A text that is asked for. */
export interface TextRequest {
  /** Public name of an adapter; the model itself where it is undefined. */
  readonly adapter: string | undefined;
  readonly prompt: TextPrompt;
  /** The task of the text, where the adapter learnt several. */
  readonly taskId: number | undefined;
  /** New tokens at most. */
  readonly maxNewTokens: number;
  /** Where the context has less room than `maxNewTokens`, its room is enough. */
  readonly isMaximum: boolean;
  readonly temperature: number | undefined;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly repetitionPenalty: number | undefined;
  /** Taken from the logits of tokens that were made: once, and once for each time. */
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** Added to the logits of these tokens. */
  readonly logitBias: readonly (readonly [number, number])[];
  readonly seed: number;
  readonly stopStrings: readonly string[];
  /** How many likeliest tokens are told of; undefined: no probabilities. */
  readonly logProbabilities: number | undefined;
}

/** A token as it is told to clients that ask for probabilities. */
export interface ToldToken {
  readonly text: string;
  readonly logProbability: number;
  readonly likeliest: readonly { readonly text: string; readonly logProbability: number }[];
}

/** What is new of a text. */
export interface TextPiece {
  readonly text: string;
  readonly tokens: readonly ToldToken[];
}

/** How a text ended. */
export interface TextEnd {
  /** An end token of the model's, a stop string of the request's, or as long as it may be. */
  readonly finishReason: 'end' | 'stop' | 'length';
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** How busy the thread is. */
export interface LanguageLoad {
  readonly running: number;
  readonly waiting: number;
  readonly cacheBytes: number;
}

/** To the thread. */
export type LanguageRequest =
  | { readonly id: number; readonly generate: TextRequest }
  | { readonly id: number; readonly load: { readonly name: string; readonly folder: string } }
  | { readonly id: number; readonly unload: string }
  | { readonly id: number; readonly status: true }
  | { readonly abort: number };

/** From the thread. */
export type LanguageAnswer =
  | { readonly ready: LanguageCard }
  | { readonly failed: SentError }
  | { readonly warned: string }
  | { readonly id: number; readonly piece: TextPiece }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: SentError };
