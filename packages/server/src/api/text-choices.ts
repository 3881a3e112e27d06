/** The texts of one request, made side by side, and how they are told of as they come. */
import type { ServerContext, ApiContext } from './context.js';
import { languageOf, note } from './context.js';
import type { TextEnd, TextPiece, TextRequest } from '../language/language-messages.js';

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
