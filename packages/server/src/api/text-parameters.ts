/** Parameters of OpenAI's chat and text completions that both have. */
import { randomInt } from 'node:crypto';
import { show } from '@peft/errors';
import { ApiError } from '../http/api-error.js';
import type { BodyReader } from '../http/body-reader.js';
import type { TextRequest } from '../language/language-messages.js';

/** What one request asks of each of its texts. */
export interface TextParameters {
  readonly model: string | undefined;
  /** Texts per prompt. */
  readonly count: number;
  readonly isStreamed: boolean;
  readonly includesUsage: boolean;
  readonly text: Omit<TextRequest, 'adapter' | 'prompt' | 'logProbabilities'>;
}

const MOST_TEXTS = 128;
const MOST_STOPS = 16;
const ANY = Number.POSITIVE_INFINITY;

/** @throws ApiError 400 naming the field */
export function readTextParameters(body: BodyReader, defaultNewTokens: number): TextParameters {
  const isStreamed = body.flag('stream') ?? false;
  const streaming = body.object('stream_options');
  if (streaming && !isStreamed)
    throw new ApiError(400, '"stream_options" needs "stream": true.', { param: 'stream_options' });
  const maxTokens = body.integer('max_tokens', [1, ANY]);
  const maxCompletionTokens = body.integer('max_completion_tokens', [1, ANY]);
  refuseUnsupported(body);
  return {
    model: body.text('model'),
    count: body.integer('n', [1, MOST_TEXTS]) ?? 1,
    isStreamed,
    includesUsage: streaming?.['include_usage'] === true,
    text: {
      maxNewTokens: maxCompletionTokens ?? maxTokens ?? defaultNewTokens,
      isMaximum: maxCompletionTokens === undefined && maxTokens === undefined,
      ...readSampling(body),
      taskId: readTaskId(body),
      presencePenalty: body.number('presence_penalty', [-2, 2]) ?? 0,
      logitBias: logitBias(body),
    },
  };
}

/** Which task, of adapters that learnt several; whether there is such is known to the adapter. */
export const readTaskId = (body: BodyReader): number | undefined =>
  body.integer('task_id', [0, 2 ** 31 - 1]);

/** What OpenAI's API and Text Generation Inference call alike. @throws ApiError 400 */
export const readSampling = (
  body: BodyReader,
): Pick<
  TextRequest,
  | 'temperature'
  | 'topP'
  | 'topK'
  | 'repetitionPenalty'
  | 'frequencyPenalty'
  | 'seed'
  | 'stopStrings'
> => ({
  temperature: body.number('temperature', [0, 100]),
  topP: topP(body),
  topK: topK(body),
  repetitionPenalty: body.number('repetition_penalty', [1e-3, 100]),
  frequencyPenalty: body.number('frequency_penalty', [-2, 2]) ?? 0,
  seed: body.integer('seed', [-ANY, ANY]) ?? randomInt(2 ** 31),
  stopStrings: stopStrings(body),
});

function topP(body: BodyReader): number | undefined {
  const value = body.number('top_p', [0, 1]);
  return value === 0 ? Number.MIN_VALUE : value; // the likeliest token alone
}

/** −1 stands for all, as with vLLM. */
function topK(body: BodyReader): number | undefined {
  const value = body.integer('top_k', [-1, ANY]);
  return value === -1 ? 0 : value;
}

function stopStrings(body: BodyReader): readonly string[] {
  const stops = body.texts('stop', MOST_STOPS) ?? [];
  if (stops.includes('')) throw body.invalid('stop', 'without empty texts', stops);
  return stops;
}

function logitBias(body: BodyReader): readonly (readonly [number, number])[] {
  return Object.entries(body.object('logit_bias') ?? {}).map(([token, bias]) => {
    if (!/^\d+$/.test(token) || typeof bias !== 'number' || Math.abs(bias) > 100)
      throw new ApiError(
        400,
        `"logit_bias" must map token ids to numbers from -100 to 100, got ${show(token)}: ${show(bias)}.`,
        { param: 'logit_bias' },
      );
    return [Number(token), bias] as const;
  });
}

/** What would change the answer is refused; what does not, passes. */
function refuseUnsupported(body: BodyReader): void {
  body.refuse('response_format', 'answers are plain texts', { type: 'text' });
  body.refuse('min_p', 'use top_p or top_k', 0);
  body.refuse('guided_json', 'answers are not held to a grammar');
  body.refuse('guided_regex', 'answers are not held to a grammar');
  body.refuse('guided_choice', 'answers are not held to a grammar');
  body.refuse('modalities', 'answers are texts', ['text']);
  body.refuse('audio', 'answers are texts');
  body.pass('user', 'metadata', 'store', 'service_tier', 'safety_identifier', 'prompt_cache_key');
}
