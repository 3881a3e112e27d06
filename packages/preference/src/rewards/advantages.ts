/**
 * Advantages of a group of completions: A_i = (r_i − mean r) / (σ + 1e-4), with the standard deviation σ
 * of the group or of the whole step (n − 1 in its denominator), or A_i = r_i − mean r (Shao et al. 2024;
 * Liu et al. 2025 for `none`; as TRL).
 */

/** What rewards are divided by. */
export const REWARD_SCALES = Object.freeze(['group', 'batch', 'none'] as const);
/** One of {@link REWARD_SCALES}. */
export type RewardScale = (typeof REWARD_SCALES)[number];

const EPSILON = 1e-4;

/** @param rewards of a step, group after group, `groupSize` each. */
export function advantages(
  rewards: ArrayLike<number>,
  groupSize: number,
  scale: RewardScale,
): Float32Array {
  const all = Array.from(rewards);
  const stepDeviation = deviation(all);
  return Float32Array.from(all, (reward, i) => {
    const start = i - (i % groupSize);
    const group = all.slice(start, start + groupSize);
    const centered = reward - mean(group);
    if (scale === 'none') return centered;
    return centered / ((scale === 'group' ? deviation(group) : stepDeviation) + EPSILON);
  });
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** 0 of a single value. */
export function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}
