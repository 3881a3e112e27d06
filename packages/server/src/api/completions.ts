/** `POST /v1/completions`, as OpenAI's API has it. */
import { randomUUID } from 'node:crypto';
import type { Hono } from 'hono';
import type { ApiError } from '../http/api-error.js';
import type { BodyReader } from '../http/body-reader.js';
import type { TextPiece, TextPrompt } from '../language/language-messages.js';
import {
  adapterOf,
  languageOf,
  note,
  readBody,
  type ApiContext,
  type ServerContext,
  type ServerEnv,
} from './context.js';
import { streamedTexts, type TextNews } from './streamed-texts.js';
import { finishReasonOf, makeTexts, textRequests, usageOf } from './text-choices.js';
import { readTextParameters } from './text-parameters.js';

const MOST_PROBABILITIES = 20;

export function addCompletions(app: Hono<ServerEnv>, context: ApiContext): void {
  app.post('/v1/completions', async (c) => completions(c, context, await readBody(c)));
}

/** Goes on with prompts; also what `/invocations` gets for a body with a prompt. */
export async function completions(
  c: ServerContext,
  context: ApiContext,
  body: BodyReader,
): Promise<Response> {
  languageOf(context);
  const { model, count, isStreamed, includesUsage, text } = readTextParameters(
    body,
    context.options.defaultNewTokens,
  );
  const prompts = readPrompts(body);
  const logProbabilities = body.integer('logprobs', [0, MOST_PROBABILITIES]);
  body.refuse('echo', 'the prompt is not repeated', false);
  body.refuse('suffix', 'texts are continued, not filled in', '');
  body.refuse('best_of', 'each text is made once', 1);
  body.refuseUnknown();
  const { name, logTexts } = context.options;
  const adapter = adapterOf(context, model);
  note(c, { model: adapter ?? name });
  if (logTexts) note(c, { prompt: prompts });
  const requests = textRequests(context, { text, count }, prompts, { adapter, logProbabilities });
  const head = {
    id: `cmpl-${randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: model ?? name,
  };
  if (isStreamed)
    return streamedTexts(
      c,
      context,
      requests,
      { head, hasBegin: false, choice: textOf },
      { perPrompt: count, includesUsage },
    );
  const choices = await makeTexts(c, context, requests);
  return c.json({
    ...head,
    choices: choices.map((choice, index) => ({
      index,
      text: choice.text,
      logprobs: probabilitiesOf(choice.pieces),
      finish_reason: finishReasonOf(choice.end),
    })),
    usage: usageOf(c, context, choices, count),
  });
}

const textOf = ({ piece }: TextNews): object => ({
  text: piece?.text ?? '',
  logprobs: piece ? probabilitiesOf([piece]) : null,
});

/** Texts, or token ids: one or several. */
function readPrompts(body: BodyReader): readonly TextPrompt[] {
  const given = body.any('prompt');
  const invalid = (): ApiError =>
    body.invalid('prompt', 'a text, token ids, or a list of either', given);
  const isIds = (value: unknown): value is number[] =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((id) => Number.isSafeInteger(id) && (id as number) >= 0);
  if (typeof given === 'string') return [{ text: given }];
  if (isIds(given)) return [{ ids: given }];
  if (!Array.isArray(given) || given.length === 0) throw invalid();
  return given.map((prompt: unknown) => {
    if (typeof prompt === 'string') return { text: prompt };
    if (isIds(prompt)) return { ids: prompt };
    throw invalid();
  });
}

function probabilitiesOf(pieces: readonly TextPiece[]): object | null {
  const tokens = pieces.flatMap((piece) => piece.tokens);
  if (tokens.length === 0) return null;
  let offset = 0;
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logProbability }) => logProbability),
    top_logprobs: tokens.map(({ likeliest }) =>
      Object.fromEntries(likeliest.map(({ text, logProbability }) => [text, logProbability])),
    ),
    text_offset: tokens.map(({ text }) => (offset += text.length) - text.length),
  };
}
