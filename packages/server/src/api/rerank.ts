/** `POST /rerank`, as Text Embeddings Inference has it: texts in the order in which they answer a query. */
import type { Hono } from 'hono';
import { ApiError } from '../http/api-error.js';
import { note, predictorOf, readBody, type ApiContext, type ServerEnv } from './context.js';

export function addRerank(app: Hono<ServerEnv>, context: ApiContext): void {
  app.post('/rerank', async (c) => {
    const { thread, queue, description } = predictorOf(context);
    if (description.task !== 'ranking')
      throw new ApiError(404, `The model was trained for ${description.task} and ranks nothing.`);
    const body = await readBody(c);
    const query = body.text('query');
    if (query === undefined) throw body.invalid('query', 'a text', query);
    const texts = body.texts('texts', context.options.maxTextsPerRequest);
    if (texts === undefined || texts.length === 0)
      throw body.invalid('texts', 'a list of texts', texts);
    const withTexts = body.flag('return_text') ?? false;
    body.refuse('raw_scores', 'scores are as the model was trained to give them', false);
    body.refuse('truncate', 'what is too long is always cut', true);
    body.refuseUnknown();
    note(c, { model: context.options.name });
    if (context.options.logTexts) note(c, { prompt: { query, texts } });
    const ranked = await queue.run(c.req.raw.signal, () => thread.rank(query, texts));
    return c.json(
      ranked.map(({ index, score, document }) =>
        withTexts ? { index, score, text: document } : { index, score },
      ),
    );
  });
}
