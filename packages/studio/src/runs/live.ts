/** Tells a page, as server-sent events, which runs changed. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { RunIndex } from './run-index.js';

const LOOK_MS = 500;
/** The folder is listed at every so many looks. */
const LOOKS_PER_LIST = 4;

/**
 * `runs` when the list changed, `run` with the id when a watched run wrote something. Files are
 * looked at again and again: that works on every file system.
 * @param ids of the watched runs.
 */
export function live(c: Context, index: RunIndex, ids: readonly string[]): Response {
  return streamSSE(c, async (stream) => {
    let listed = JSON.stringify(await index.list());
    const seen = new Map<string, string>();
    for (const id of ids) seen.set(id, await lookAt(index, id));
    await stream.writeSSE({ event: 'ready', data: '' });
    for (let looks = 1; !stream.aborted; looks += 1) {
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
  });
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
