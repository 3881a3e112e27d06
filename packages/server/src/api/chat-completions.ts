/** `POST /v1/chat/completions`, as OpenAI's API has it. */
import { randomUUID } from 'node:crypto';
import { readConversation, type ChatMessage } from '@peft/data';
import type { Hono } from 'hono';
import { ApiError } from '../http/api-error.js';
import type { BodyReader } from '../http/body-reader.js';
import type { TextPiece } from '../language/language-messages.js';
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

const MOST_TOP_PROBABILITIES = 20;

export function addChatCompletions(app: Hono<ServerEnv>, context: ApiContext): void {
  app.post('/v1/chat/completions', async (c) => chatCompletions(c, context, await readBody(c)));
}

/** Answers a chat; also what `/invocations` gets for a body with messages. */
export async function chatCompletions(
  c: ServerContext,
  context: ApiContext,
  body: BodyReader,
): Promise<Response> {
  languageOf(context);
  const { model, count, isStreamed, includesUsage, text } = readTextParameters(
    body,
    context.options.defaultNewTokens,
  );
  const messages = readMessages(body);
  const logProbabilities = readProbabilities(body);
  body.refuse('tools', 'the server does not call tools: put what they say into the messages', []);
  body.refuse('functions', 'the server does not call functions', []);
  body.refuse('tool_choice', 'the server does not call tools', 'none', 'auto');
  body.refuse('function_call', 'the server does not call functions', 'none', 'auto');
  body.refuse('parallel_tool_calls', 'the server does not call tools', true, false);
  body.refuse('reasoning_effort', 'the model thinks as its template says');
  body.refuse('web_search_options', 'the server does not search');
  body.refuse('prediction', 'answers are made token by token');
  body.refuseUnknown();
  const adapter = adapterOf(context, model);
  note(c, { model: adapter ?? context.options.name });
  if (context.options.logTexts) note(c, { prompt: messages });
  const requests = textRequests(context, { text, count }, [{ messages }], {
    adapter,
    logProbabilities,
  });
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: model ?? context.options.name,
  };
  if (isStreamed)
    return streamedTexts(
      c,
      context,
      requests,
      { head: { ...head, object: 'chat.completion.chunk' }, hasBegin: true, choice: deltaOf },
      { perPrompt: count, includesUsage },
    );
  const choices = await makeTexts(c, context, requests);
  return c.json({
    ...head,
    object: 'chat.completion',
    choices: choices.map((choice, index) => ({
      index,
      message: { role: 'assistant', content: choice.text, refusal: null },
      logprobs: probabilitiesOf(choice.pieces),
      finish_reason: finishReasonOf(choice.end),
    })),
    usage: usageOf(c, context, choices, count),
  });
}

function deltaOf({ piece, end }: TextNews): object {
  if (piece) return { delta: { content: piece.text }, logprobs: probabilitiesOf([piece]) };
  return { delta: end ? {} : { role: 'assistant', content: '' }, logprobs: null };
}

/** @throws ApiError 400 naming the turn */
function readMessages(body: BodyReader): ChatMessage[] {
  const given = body.any('messages');
  if (!Array.isArray(given) || given.length === 0)
    throw body.invalid('messages', 'a list of messages', given);
  return readConversation(given, '"messages"');
}

function readProbabilities(body: BodyReader): number | undefined {
  const wanted = body.flag('logprobs') ?? false;
  const top = body.integer('top_logprobs', [0, MOST_TOP_PROBABILITIES]);
  if (top !== undefined && !wanted)
    throw new ApiError(400, '"top_logprobs" needs "logprobs": true.', { param: 'top_logprobs' });
  return wanted ? (top ?? 0) : undefined;
}

function probabilitiesOf(pieces: readonly TextPiece[]): object | null {
  const tokens = pieces.flatMap((piece) => piece.tokens);
  if (tokens.length === 0) return null;
  const told = (one: { readonly text: string; readonly logProbability: number }): object => ({
    token: one.text,
    logprob: one.logProbability,
    bytes: [...new TextEncoder().encode(one.text)],
  });
  return {
    content: tokens.map((token) => ({ ...told(token), top_logprobs: token.likeliest.map(told) })),
    refusal: null,
  };
}
