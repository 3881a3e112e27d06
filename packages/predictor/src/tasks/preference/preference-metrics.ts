/** What preferences are scored by: how often, and by how much, the better answer has the higher reward. */
import { didYouMean, PeftError, show } from '@peft/errors';
import type { WatchedMetric } from '../predictor-task.js';

/**
 * Share of pairs whose chosen answer has the higher reward; half of equal ones. All of a few are soon
 * told apart by next to nothing: of equals the one with the larger margin is better.
 */
export const REWARD_ACCURACY: WatchedMetric = Object.freeze({
  name: 'reward_accuracy',
  greaterIsBetter: true,
  optimum: 1,
  tieMetric: 'reward_margin',
});
/** Mean reward of chosen answers minus that of rejected ones. */
export const REWARD_MARGIN: WatchedMetric = Object.freeze({
  name: 'reward_margin',
  greaterIsBetter: true,
  optimum: Infinity,
});
const METRICS: readonly WatchedMetric[] = [REWARD_ACCURACY, REWARD_MARGIN];

/** @throws PEFT_METRIC_UNKNOWN */
export function preferenceMetric(given: string | WatchedMetric = REWARD_ACCURACY): WatchedMetric {
  if (typeof given !== 'string') return given;
  const name = given.toLowerCase().replaceAll('-', '_');
  const found = METRICS.find((metric) => metric.name === name);
  if (found) return found;
  const names = METRICS.map((metric) => metric.name);
  throw new PeftError(
    'PEFT_METRIC_UNKNOWN',
    `predictor: preferences have no metric ${show(given)}.`,
    { hint: `${didYouMean(given, names)} Metrics: ${names.join(', ')}.`.trim() },
  );
}

const ahead = (better: number, worse: number): number => {
  if (better === worse) return 0.5;
  return better > worse ? 1 : 0;
};
const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Of rewards of pairs, the chosen answer's first. */
export const pairScores = (pairs: readonly (readonly [number, number])[]) => ({
  [REWARD_ACCURACY.name]: mean(pairs.map(([chosen, rejected]) => ahead(chosen, rejected))),
  [REWARD_MARGIN.name]: mean(pairs.map(([chosen, rejected]) => chosen - rejected)),
});

/** Of rewards of single answers: every desirable one is compared with every other. */
export function unpairedScores(
  rewards: readonly number[],
  desirable: Uint8Array,
): Record<string, number> {
  const chosen = rewards.filter((_, row) => desirable[row] === 1);
  const rejected = rewards.filter((_, row) => desirable[row] !== 1);
  return {
    [REWARD_ACCURACY.name]: mean(
      chosen.map((better) => mean(rejected.map((worse) => ahead(better, worse)))),
    ),
    [REWARD_MARGIN.name]: mean(chosen) - mean(rejected),
  };
}
