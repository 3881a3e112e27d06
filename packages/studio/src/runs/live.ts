/** Tells pages, as server-sent events, which runs changed. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from 'hono';
import { streamSSE, type SSEStreamingApi } from 'hono/streaming';
import type { RunIndex } from './run-index.js';

const LOOK_MS = 500;
/** The folder is listed at every so many looks. */
const LOOKS_PER_LIST = 4;
/**
 * Streams that are open at once: a browser has six connections to a host for all of its tabs, and
 * what a page asks needs some of them.
 */
const MOST_STREAMS = 3;
/** Time after which a page whose stream was ended for another's opens it again. */
const AGAIN_MS = 2000;

export class LiveStreams {
  readonly #index: RunIndex;
  /** The longest open one first. */
  readonly #open = new Set<SSEStreamingApi>();

  constructor(index: RunIndex) {
    this.#index = index;
  }

  /**
   * `ready` when it is open, `runs` when the list changed, `run` with the id when a watched run wrote
   * something. Files are looked at again and again: that works on every file system. Where too many
   * are open, the longest open one ends: pages take turns, and read what they missed at `ready`.
   * @param ids of the watched runs.
   */
  answer(c: Context, ids: readonly string[]): Response {
    return streamSSE(c, async (stream) => {
      this.#open.add(stream);
      for (const longest of this.#open)
        if (this.#open.size > MOST_STREAMS) this.#open.delete(longest);
      try {
        await this.#watch(stream, ids);
      } finally {
        this.#open.delete(stream);
      }
    });
  }

  async #watch(stream: SSEStreamingApi, ids: readonly string[]): Promise<void> {
    const index = this.#index;
    let listed = JSON.stringify(await index.list());
    const seen = new Map<string, string>();
    for (const id of ids) seen.set(id, await lookAt(index, id));
    await stream.writeSSE({ event: 'ready', data: '', retry: AGAIN_MS });
    for (let looks = 1; !stream.aborted && this.#open.has(stream); looks += 1) {
      await stream.sleep(LOOK_MS);
      for (const id of ids) {
        const now = await lookAt(index, id);
        if (now === seen.get(id)) continue;
        seen.set(id, now);
        await stream.writeSSE({ event: 'run', data: id });
      }
      if (looks % LOOKS_PER_LIST !== 0) continue;
      const now = JSON.stringify(await index.list());
      if (now !== listed) await stream.writeSSE({ event: 'runs', data: '' });
      else await stream.writeSSE({ event: 'still', data: '' }); // finds out whether anyone listens
      listed = now;
    }
  }
}

/** Changes when the run wrote something. */
async function lookAt(index: RunIndex, id: string): Promise<string> {
  try {
    const folder = index.pathOf(id);
    const files = await Promise.all(
      ['events.jsonl', 'run.json', 'predictor.json'].map((name) =>
        stat(join(folder, name)).then(
          ({ size, mtimeMs }) => `${size} ${mtimeMs}`,
          () => '',
        ),
      ),
    );
    return files.join();
  } catch {
    return ''; // not there yet, or no more
  }
}
