/** SageMaker's contract: `GET /ping` and `POST /invocations`. */
import type { Hono } from 'hono';
import { ApiError } from '../http/api-error.js';
import { chatCompletions } from './chat-completions.js';
import { completions } from './completions.js';
import { generateInputs } from './generate.js';
import { readBody, type ApiContext, type ServerEnv } from './context.js';
import { predictInputs } from './predictions.js';

/** What a body asks for is told by its field: `messages`, `prompt` or `inputs`. */
export function addSageMaker(app: Hono<ServerEnv>, context: ApiContext): void {
  app.get('/ping', (c) => c.text('', 200));
  app.post('/invocations', async (c) => {
    const body = await readBody(c);
    if (body.has('messages')) return chatCompletions(c, context, body);
    if (body.has('prompt')) return completions(c, context, body);
    if (body.has('inputs'))
      return context.served.kind === 'language'
        ? generateInputs(c, context, body)
        : predictInputs(c, context, body);
    throw new ApiError(
      400,
      'The body must have "messages" (a chat), "prompt" (a text to continue) or "inputs" (texts to predict from, or a text to continue).',
    );
  });
}
