/** How long a run may take, by the speed of a run like it. */
import type { StartPreview } from '../api-types.js';
import { recordIn } from '../runs/run-details.js';
import type { RunIndex } from '../runs/run-index.js';

/** Runs that are looked at, the newest first. */
const LOOKED_AT = 40;
/** Steps whose speed is taken. */
const TIMED_POINTS = 400;

/**
 * Tokens of all steps, by the median speed of the newest run of the same model on the same engine;
 * undefined where there is none.
 */
export async function expectedTime(
  index: RunIndex,
  { steps, epochs, tokens, trainingRows, settings, engine }: StartPreview,
): Promise<StartPreview['time']> {
  const model = settings['model.hf_text.checkpoint_name'];
  const runs = (await index.list()).filter(({ step }) => (step ?? 0) > 0);
  for (const { id } of runs.slice(0, LOOKED_AT)) {
    const record = recordIn(index.pathOf(id));
    const isAlike =
      record?.engine === engine &&
      (record.base?.['reference'] === model ||
        record.settings?.['model.hf_text.checkpoint_name'] === model);
    if (!isAlike) continue;
    const log = await index.log(id);
    const speed = median(log.series(0, undefined, TIMED_POINTS).steps.tokensPerSecond);
    if (speed === undefined) continue;
    const rows = Math.min(trainingRows * epochs, steps * Number(settings['env.batch_size']));
    return { seconds: (tokens.mean * rows) / speed, basis: `at the speed of ${id}` };
  }
  return undefined;
}

function median(values: readonly (number | null)[]): number | undefined {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
