/** Texts as server-sent events, piece by piece, as OpenAI's API has them. */
import type { TextEnd, TextPiece, TextRequest } from '../language/language-messages.js';
import type { ApiContext, ServerContext } from './context.js';
import { eventStream } from './event-stream.js';
import { finishReasonOf, makeTexts, usageOf } from './text-choices.js';

/** What of a text is new: its begin, a piece, or its end. */
export interface TextNews {
  readonly piece?: TextPiece;
  readonly end?: TextEnd;
}

/** How one of the APIs writes its chunks. */
export interface ChunkForm {
  /** What all chunks have in common. */
  readonly head: object;
  /** A text begins with a chunk of its own. */
  readonly hasBegin: boolean;
  /** The part of a chunk that holds what is new of a text. */
  choice(news: TextNews): object;
}

/**
 * @param perPrompt texts that each prompt gets
 * @param includesUsage a last chunk says the tokens of all texts
 */
export function streamedTexts(
  c: ServerContext,
  context: ApiContext,
  requests: readonly TextRequest[],
  { head, hasBegin, choice }: ChunkForm,
  { perPrompt, includesUsage }: { readonly perPrompt: number; readonly includesUsage: boolean },
): Response {
  return eventStream(c, async (send, signal) => {
    const usage = includesUsage ? { usage: null } : {};
    const chunk = (index: number, news: TextNews): void => {
      const finish_reason = news.end ? finishReasonOf(news.end) : null;
      send({ ...head, choices: [{ index, ...choice(news), finish_reason }], ...usage });
    };
    const begun = new Set<number>();
    const begin = (index: number): void => {
      if (hasBegin && !begun.has(index)) chunk(index, {});
      begun.add(index);
    };
    const choices = await makeTexts(c, context, requests, {
      signal,
      onPiece: (index, piece) => {
        begin(index);
        chunk(index, { piece });
      },
      onEnd: (index, end) => {
        begin(index);
        chunk(index, { end });
      },
    });
    const total = usageOf(c, context, choices, perPrompt);
    if (includesUsage) send({ ...head, choices: [], usage: total });
  });
}
