/** How long a run may take, by the speed of a run like it, or else by what its matrices need. */
import type { StartPreview } from '../api-types.js';
import { recordIn } from '../runs/run-details.js';
import type { RunIndex } from '../runs/run-index.js';

/** Runs that are looked at, the newest first. */
const LOOKED_AT = 40;
/** Steps whose speed is taken. */
const TIMED_POINTS = 400;

/**
 * Tokens of all steps, by the median speed of the newest run of the same model on the same engine;
 * where there is none, by the operations that they need at least. undefined where nobody knows either.
 */
export async function expectedTime(
  index: RunIndex,
  preview: StartPreview,
): Promise<StartPreview['time']> {
  const { steps, epochs, tokens, trainingRows, settings, engine, speed: estimate } = preview;
  const rows = Math.min(trainingRows * epochs, steps * Number(settings['env.batch_size']));
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
    return { seconds: (tokens.mean * rows) / speed, basis: `at the speed of ${id}` };
  }
  if (!estimate) return undefined;
  const { operationsPerToken, operationsPerSecond, secondsPerMicroBatch } = estimate;
  return {
    seconds:
      (tokens.mean * rows * operationsPerToken) / operationsPerSecond +
      (rows / estimate.rowsPerMicroBatch) * secondsPerMicroBatch,
    basis:
      `an estimate: no run of this model was seen here yet. Its matrices need ` +
      `${inWords(operationsPerToken)} operations a token, of which this engine did ` +
      `${inWords(operationsPerSecond)} a second just now; all else of a micro-batch takes ` +
      `${milliseconds(secondsPerMicroBatch)} at least`,
    isLeast: true,
  };
}

/** `9.4 million`, `130 billion`: two digits say enough of an estimate. */
function inWords(count: number): string {
  const [size, name] = (
    [
      [1e12, 'trillion'],
      [1e9, 'billion'],
    ] as const
  ).find(([least]) => count >= least) ?? [1e6, 'million'];
  return `${Number((count / size).toPrecision(2))} ${name}`;
}

const milliseconds = (seconds: number): string => `${Number((seconds * 1e3).toPrecision(2))} ms`;

function median(values: readonly (number | null)[]): number | undefined {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
