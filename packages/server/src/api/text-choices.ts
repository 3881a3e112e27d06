/** The texts of one request, made side by side. */
import { ApiError } from '../http/api-error.js';
import type { TextEnd, TextPiece, TextPrompt, TextRequest } from '../language/language-messages.js';
import { languageOf, note, type ApiContext, type ServerContext } from './context.js';
import type { TextParameters } from './text-parameters.js';

/** One of the texts that a request gets. */
export interface TextChoice {
  readonly text: string;
  readonly pieces: readonly TextPiece[];
  readonly end: TextEnd;
}

/** Tokens in OpenAI's terms: each prompt counts once, however many texts it gets. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/**
 * A text request for each of `count` texts of each prompt, with a seed of its own.
 * @throws ApiError 400 when they are more than one request may have
 */
export function textRequests(
  { options: { maxTextsPerRequest } }: ApiContext,
  { text, count }: Pick<TextParameters, 'text' | 'count'>,
  prompts: readonly TextPrompt[],
  rest: Pick<TextRequest, 'adapter' | 'logProbabilities'>,
): TextRequest[] {
  if (prompts.length * count > maxTextsPerRequest)
    throw new ApiError(
      400,
      `${prompts.length} prompts with ${count} texts each are more than the ${maxTextsPerRequest} texts of one request.`,
      { param: 'n' },
    );
  return prompts.flatMap((prompt) =>
    Array.from({ length: count }, (_, index) => ({
      ...text,
      ...rest,
      seed: text.seed + index,
      prompt,
    })),
  );
}

/**
 * Makes all texts of a request.
 * @param onPiece told of each piece, with the text's number
 * @throws what makes a text fail; the others are stopped then
 */
export async function makeTexts(
  c: ServerContext,
  context: ApiContext,
  requests: readonly TextRequest[],
  listeners: {
    readonly onPiece?: (index: number, piece: TextPiece) => void;
    readonly onEnd?: (index: number, end: TextEnd) => void;
    readonly signal?: AbortSignal;
  } = {},
): Promise<TextChoice[]> {
  const { thread } = languageOf(context);
  const began = performance.now();
  const failed = new AbortController();
  const signals = [c.req.raw.signal, failed.signal, listeners.signal];
  const signal = AbortSignal.any(signals.filter((each) => each !== undefined));
  let isFirst = true;
  const make = async (request: TextRequest, index: number): Promise<TextChoice> => {
    const pieces: TextPiece[] = [];
    const end = await thread.write(request, signal, (piece) => {
      if (isFirst) context.metrics.firstToken((performance.now() - began) / 1000);
      isFirst = false;
      pieces.push(piece);
      listeners.onPiece?.(index, piece);
    });
    listeners.onEnd?.(index, end);
    return { text: pieces.map(({ text }) => text).join(''), pieces, end };
  };
  const choices = await Promise.all(
    requests.map((request, index) =>
      make(request, index).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    ),
  );
  return choices;
}

/** How a text ended, in OpenAI's words: end tokens and stop strings are one. */
export const finishReasonOf = ({ finishReason }: TextEnd): 'stop' | 'length' =>
  finishReason === 'length' ? 'length' : 'stop';

/** @param perPrompt texts that each prompt got */
export function usageOf(
  c: ServerContext,
  { metrics, options }: ApiContext,
  choices: readonly TextChoice[],
  perPrompt: number,
): Usage {
  const prompts = choices.filter((_, index) => index % perPrompt === 0);
  const promptTokens = prompts.reduce((sum, { end }) => sum + end.promptTokens, 0);
  const completionTokens = choices.reduce((sum, { end }) => sum + end.completionTokens, 0);
  metrics.tokens(promptTokens, completionTokens);
  note(c, { promptTokens, completionTokens });
  if (options.logTexts) note(c, { answer: choices.map(({ text }) => text) });
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
