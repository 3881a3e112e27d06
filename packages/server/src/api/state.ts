/** `GET /v1/models`, `/health`, `/metrics`: what is served, and how it is. */
import type { Hono } from 'hono';
import type { ApiContext, ServerEnv } from './context.js';

export function addState(app: Hono<ServerEnv>, context: ApiContext): void {
  const { options, served, metrics, adapters, createdSeconds } = context;
  app.get('/v1/models', (c) =>
    c.json({
      object: 'list',
      data: [options.name, ...adapters].map((id) => ({
        id,
        object: 'model',
        created: createdSeconds,
        owned_by: 'peft',
        root: id === options.name ? options.name : id,
        parent: id === options.name ? null : options.name,
        ...(served.kind === 'language' && Number.isFinite(served.thread.card.contextTokens)
          ? { max_model_len: served.thread.card.contextTokens }
          : {}),
      })),
    }),
  );
  app.get('/health', async (c) => c.json({ status: 'ok', ...(await loadOf(context)) }));
  app.get('/metrics', async (c) => {
    const { running, waiting, cacheBytes = 0 } = await loadOf(context);
    c.header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8');
    return c.body(
      metrics.text({
        peft_texts_running: running,
        peft_texts_waiting: waiting,
        peft_cache_bytes: cacheBytes,
        peft_adapters_loaded: adapters.size,
        process_resident_memory_bytes: process.memoryUsage.rss(),
      }),
    );
  });
}

async function loadOf({ served }: ApiContext): Promise<{
  readonly running: number;
  readonly waiting: number;
  readonly cacheBytes?: number;
}> {
  if (served.kind === 'language') return served.thread.status();
  const { length } = served.queue;
  return { running: Math.min(1, length), waiting: Math.max(0, length - 1) };
}
