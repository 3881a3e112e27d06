/** What the routes of one server share. */
import type { Context } from 'hono';
import { didYouMean, show } from '@peft/errors';
import { ApiError } from '../http/api-error.js';
import { BodyReader } from '../http/body-reader.js';
import type { Metrics } from '../http/metrics.js';
import type { ServedLanguage, ServedModel, ServedPredictor } from '../served-model.js';
import type { ResolvedServerOptions } from '../server-options.js';

/** What a request leaves for the log. */
export interface RequestNotes {
  readonly model?: string;
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  readonly prompt?: unknown;
  readonly answer?: unknown;
  /** What went wrong inside, which the client is not told. */
  readonly error?: string;
}

/** What hono carries along with a request. */
export interface ServerEnv {
  Variables: {
    notes: RequestNotes;
    /** Of an answer that is streamed: resolves when its last byte has been sent. */
    ended?: Promise<void>;
  };
}

export type ServerContext = Context<ServerEnv>;

export interface ApiContext {
  readonly options: ResolvedServerOptions;
  readonly served: ServedModel;
  readonly metrics: Metrics;
  /** Names of the adapters that are loaded. */
  readonly adapters: Set<string>;
  /** Seconds since 1970 at which the server began. */
  readonly createdSeconds: number;
}

/** @throws ApiError 400 for what is no JSON object */
export const readBody = async (c: ServerContext): Promise<BodyReader> =>
  BodyReader.parse(await c.req.arrayBuffer());

/** Adds to what the log says of a request. */
export function note(c: ServerContext, notes: RequestNotes): void {
  c.set('notes', { ...c.get('notes'), ...notes });
}

/**
 * The adapter that a request's `model` names; undefined for the model itself.
 * @throws ApiError 404 for an unknown name
 */
export function adapterOf(
  { options: { name }, adapters }: ApiContext,
  model: string | undefined,
): string | undefined {
  if (model === undefined || model === name) return undefined;
  if (adapters.has(model)) return model;
  throw new ApiError(
    404,
    `There is no model ${show(model)}. ${didYouMean(model, [name, ...adapters])} ` +
      `Served: ${[name, ...adapters].join(', ')}.`,
    { param: 'model', code: 'model_not_found' },
  );
}

/** @throws ApiError 404 where the model writes no text */
export function languageOf({ served }: ApiContext): ServedLanguage {
  if (served.kind === 'language') return served;
  throw new ApiError(
    404,
    `The model was trained for ${served.description.task} and writes no text: use /predict` +
      `${served.description.task === 'embeddings' ? ' or /v1/embeddings' : ' or /v1/classify'}.`,
  );
}

/** @throws ApiError 404 where the model is a language model */
export function predictorOf({ served }: ApiContext): ServedPredictor {
  if (served.kind === 'predictor') return served;
  throw new ApiError(
    404,
    'The model is a language model: use /v1/chat/completions or /v1/completions.',
  );
}
