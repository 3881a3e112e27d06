/**
 * `POST /generate`, as Text Generation Inference has it, and what `/invocations` gets from clients of
 * its containers: `inputs` and `parameters`.
 */
import type { Hono } from 'hono';
import { BodyReader } from '../http/body-reader.js';
import type { TextEnd, TextRequest } from '../language/language-messages.js';
import {
  adapterOf,
  languageOf,
  note,
  readBody,
  type ApiContext,
  type ServerContext,
  type ServerEnv,
} from './context.js';
import { makeTexts, textRequests, usageOf } from './text-choices.js';
import { readSampling, readTaskId } from './text-parameters.js';

/** New tokens where a request names no number, as there. */
const DEFAULT_NEW_TOKENS = 100;

/** How a text ended, in that API's words. */
const FINISH_REASONS: Readonly<Record<TextEnd['finishReason'], string>> = Object.freeze({
  end: 'eos_token',
  stop: 'stop_sequence',
  length: 'length',
});

export function addGenerate(app: Hono<ServerEnv>, context: ApiContext): void {
  app.post('/generate', async (c) => {
    const [text] = await generatedTexts(c, context, await readBody(c));
    return c.json(text!);
  });
}

/** Answers `{ inputs, parameters }` with a list of one text, as that container's `/invocations`. */
export const generateInputs = async (
  c: ServerContext,
  context: ApiContext,
  body: BodyReader,
): Promise<Response> => c.json(await generatedTexts(c, context, body));

async function generatedTexts(
  c: ServerContext,
  context: ApiContext,
  body: BodyReader,
): Promise<object[]> {
  languageOf(context);
  const prompt = body.text('inputs');
  if (prompt === undefined) throw body.invalid('inputs', 'a text', body.any('inputs'));
  body.refuse('stream', 'streams are answered by /v1/completions', false);
  const parameters = new BodyReader(body.object('parameters') ?? {});
  body.refuseUnknown();
  const { text, adapter, isWhole, hasDetails } = readParameters(parameters, context);
  note(c, { model: adapter ?? context.options.name });
  if (context.options.logTexts) note(c, { prompt });
  const requests = textRequests(context, { text, count: 1 }, [{ text: prompt }], {
    adapter,
    logProbabilities: undefined,
  });
  const choices = await makeTexts(c, context, requests);
  usageOf(c, context, choices, 1);
  return choices.map(({ text: made, end }) => ({
    generated_text: isWhole ? prompt + made : made,
    details: hasDetails
      ? {
          finish_reason: FINISH_REASONS[end.finishReason],
          generated_tokens: end.completionTokens,
          seed: text.seed,
        }
      : undefined,
  }));
}

interface Parameters {
  readonly text: Omit<TextRequest, 'adapter' | 'prompt' | 'logProbabilities'>;
  readonly adapter: string | undefined;
  /** The prompt stands before the text. */
  readonly isWhole: boolean;
  readonly hasDetails: boolean;
}

/** Greedy, unless sampling or a temperature is asked for. @throws ApiError 400 naming the field */
function readParameters(reader: BodyReader, context: ApiContext): Parameters {
  const most = Number.POSITIVE_INFINITY;
  const isSampled = reader.flag('do_sample');
  const sampling = readSampling(reader);
  const { temperature = isSampled ? undefined : 0 } = sampling;
  const parameters = {
    adapter: adapterOf(context, reader.text('adapter_id')),
    isWhole: reader.flag('return_full_text') ?? false,
    hasDetails: reader.flag('details') ?? false,
    text: {
      ...sampling,
      temperature: isSampled === false ? 0 : temperature,
      maxNewTokens: reader.integer('max_new_tokens', [1, most]) ?? DEFAULT_NEW_TOKENS,
      isMaximum: !reader.has('max_new_tokens'),
      taskId: readTaskId(reader),
      presencePenalty: 0,
      logitBias: [],
    },
  };
  reader.refuse('best_of', 'each text is made once', 1);
  reader.refuse('grammar', 'answers are not held to a grammar');
  reader.refuse('typical_p', 'use top_p or top_k', 1);
  reader.refuse('truncate', 'prompts are not cut');
  reader.refuse('top_n_tokens', '/v1/completions tells probabilities');
  reader.refuse('watermark', 'texts are not marked', false);
  reader.refuse('decoder_input_details', '/v1/completions tells probabilities', false);
  reader.refuseUnknown();
  return parameters;
}
