/**
 * What becomes of the best checkpoints at the end of a run: the best one, their mean, or the greedy
 * soup, as AutoGluon makes them. Means are taken in float64 and rounded once.
 *
 * @see Wortsman et al. 2022, Model soups, recipe 1
 */
import type { Direction } from '../validation/early-stopping.js';
import { beats, type Score } from '../validation/score.js';
import type { ScoredCheckpoint } from './top-checkpoints.js';

/** Parameter values by name. */
export type ParameterValues = ReadonlyMap<string, Float32Array>;

/** Element-wise mean of several sets of the same parameters. */
export function averageParameters(sets: readonly ParameterValues[]): Map<string, Float32Array> {
  const [first] = sets;
  return new Map(
    [...first!].map(([name, values]) => {
      const sum = new Float64Array(values.length);
      for (const set of sets) set.get(name)!.forEach((value, i) => (sum[i]! += value));
      return [name, Float32Array.from(sum, (total) => total / sets.length)];
    }),
  );
}

/** The weights that a soup ended with, and what went into them. */
export interface SoupResult {
  readonly parameters: ParameterValues;
  /** Steps of the checkpoints that went in. */
  readonly steps: readonly number[];
  /** Absent for a uniform soup of several, which nobody scored. */
  readonly score?: number;
}

/** The mean of all. @param ranked best first. */
export async function uniformSoup(
  ranked: readonly ScoredCheckpoint[],
  load: (step: number) => Promise<ParameterValues>,
): Promise<SoupResult> {
  const sets: ParameterValues[] = [];
  for (const { step } of ranked) sets.push(await load(step));
  return {
    parameters: averageParameters(sets),
    steps: ranked.map(({ step }) => step),
    score: ranked.length === 1 ? ranked[0]!.score : undefined,
  };
}

/**
 * Starts from the best and takes in each next one if the mean of all kept and it scores at least as
 * well.
 * @param ranked best first, at least one. @param score validates parameters.
 */
export async function greedySoup(
  ranked: readonly ScoredCheckpoint[],
  direction: Direction,
  load: (step: number) => Promise<ParameterValues>,
  score: (parameters: ParameterValues) => Promise<Score>,
): Promise<SoupResult> {
  const [best, ...rest] = ranked;
  const kept = [await load(best!.step)];
  let soup: SoupResult = { parameters: kept[0]!, steps: [best!.step], score: best!.score };
  let reachedBefore: Score = best!;
  for (const { step } of rest) {
    const candidate = await load(step);
    const parameters = averageParameters([...kept, candidate]);
    const reached = await score(parameters);
    if (Number.isNaN(reached.score) || beats(reachedBefore, reached, direction)) continue;
    kept.push(candidate);
    reachedBefore = reached;
    soup = { parameters, steps: [...soup.steps, step], score: reached.score };
  }
  return soup;
}
