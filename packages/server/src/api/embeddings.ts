/** `POST /v1/embeddings`, as OpenAI's API has it, and `POST /embed` of Text Embeddings Inference. */
import type { Hono } from 'hono';
import { ApiError } from '../http/api-error.js';
import type { ServedPredictor } from '../served-model.js';
import {
  predictorOf,
  readBody,
  type ApiContext,
  type ServerContext,
  type ServerEnv,
} from './context.js';
import { noteRows, requireName, rowOf } from './predictions.js';

export function addEmbeddings(app: Hono<ServerEnv>, context: ApiContext): void {
  app.post('/v1/embeddings', async (c) => {
    const predictor = embedderOf(context);
    const body = await readBody(c);
    const model = body.text('model');
    requireName(context, model);
    const texts = body.texts('input', context.options.maxTextsPerRequest);
    if (texts === undefined || texts.length === 0)
      throw body.invalid('input', 'a text or a list of texts', texts);
    const format = body.text('encoding_format') ?? 'float';
    if (format !== 'float' && format !== 'base64')
      throw body.invalid('encoding_format', '"float" or "base64"', format);
    const dimensions = body.integer('dimensions', [1, Number.POSITIVE_INFINITY]);
    body.pass('user');
    body.refuseUnknown();
    const embeddings = await embed(c, context, predictor, texts, dimensions);
    return c.json({
      object: 'list',
      model: model ?? context.options.name,
      data: embeddings.map((embedding, index) => ({
        object: 'embedding',
        index,
        embedding: format === 'base64' ? base64Of(embedding) : [...embedding],
      })),
    });
  });
  app.post('/embed', async (c) => {
    const predictor = embedderOf(context);
    const body = await readBody(c);
    const texts = body.texts('inputs', context.options.maxTextsPerRequest);
    if (texts === undefined || texts.length === 0)
      throw body.invalid('inputs', 'a text or a list of texts', texts);
    body.refuse('normalize', 'embeddings are as the model was trained', true);
    body.refuse('truncate', 'what is too long is always cut', true);
    body.refuseUnknown();
    return c.json((await embed(c, context, predictor, texts)).map((embedding) => [...embedding]));
  });
}

/** @throws ApiError 404 for a model of another task */
function embedderOf(context: ApiContext): ServedPredictor {
  const predictor = predictorOf(context);
  if (predictor.description.task === 'embeddings') return predictor;
  throw new ApiError(
    404,
    `The model was trained for ${predictor.description.task} and makes no embeddings: use /predict.`,
  );
}

function embed(
  c: ServerContext,
  context: ApiContext,
  predictor: ServedPredictor,
  texts: readonly string[],
  dimensions?: number,
): Promise<Float32Array[]> {
  const rows = texts.map((text) => rowOf(predictor, [text]));
  noteRows(c, context, rows);
  return predictor.queue.run(c.req.raw.signal, () =>
    predictor.thread.predict<Float32Array>(rows, dimensions === undefined ? {} : { dimensions }),
  );
}

/** Little-endian float32, as OpenAI's clients ask for. */
function base64Of(embedding: Float32Array): string {
  const bytes = Buffer.alloc(4 * embedding.length);
  embedding.forEach((value, i) => bytes.writeFloatLE(value, 4 * i));
  return bytes.toString('base64');
}
