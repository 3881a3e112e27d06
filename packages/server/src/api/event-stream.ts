/** Server-sent events: pieces of texts as they come, an error as the last of them. */
import { streamSSE } from 'hono/streaming';
import { apiErrorOf, errorBody } from '../http/api-error.js';
import { note, type ServerContext } from './context.js';

/**
 * @param run sends what there is to be sent; its signal says that the client has gone. `[DONE]`
 *   follows, or the error that it throws.
 */
export function eventStream(
  c: ServerContext,
  run: (send: (data: object) => void, signal: AbortSignal) => Promise<void>,
): Response {
  let end!: () => void;
  c.set('ended', new Promise<void>((resolve) => (end = resolve)));
  return streamSSE(c, async (stream) => {
    const gone = new AbortController();
    stream.onAbort(() => gone.abort(new Error('the client has gone')));
    let sent: Promise<unknown> = Promise.resolve();
    const write = (data: string): void => {
      sent = sent.then(() => stream.writeSSE({ data })).catch(() => undefined); // the client has gone
    };
    try {
      await run((data) => write(JSON.stringify(data)), gone.signal);
      write('[DONE]');
    } catch (error) {
      if (gone.signal.aborted) return note(c, { error: 'the client has gone' });
      const answer = apiErrorOf(error);
      if (answer.status === 500) note(c, { error: String(error) });
      write(JSON.stringify(errorBody(answer)));
    } finally {
      await sent;
      end();
    }
  });
}
