/**
 * The next token of one sequence from its logits: the likeliest, or one drawn at random among the
 * likely.
 */
import { randomKey, randomUniform } from '@peft/ops';
import type { ResolvedGeneration } from './generation-options.js';

type Sampling = Pick<ResolvedGeneration, 'temperature' | 'topK' | 'topP'>;

/** Tokens that may be drawn, with their probabilities, which sum to 1. */
export interface TokenDistribution {
  readonly ids: readonly number[];
  readonly probabilities: readonly number[];
}

/** Index of the largest logit, of equal ones the first. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id += 1) if (logits[id]! > logits[best]!) best = id;
  return best;
}

/**
 * p = softmax(logits/temperature) over the `topK` likeliest tokens and those as likely as the last
 * of them, then over the fewest of these, likeliest first, whose sum reaches `topP`.
 */
export function tokenDistribution(logits: Float32Array, options: Sampling): TokenDistribution {
  const { topP } = options;
  const { weights, total } = tokenWeights(logits, options);
  // Tokens of at most (1 − topP)/V each have no more than 1 − topP together: they are left out
  // before anything is sorted.
  const cut = topP < 1 ? (total * (1 - topP)) / logits.length : 0;
  let ids: number[] = [];
  for (let id = 0; id < weights.length; id += 1) if (weights[id]! > cut) ids.push(id);
  if (topP < 1) {
    ids.sort((a, b) => weights[b]! - weights[a]! || a - b);
    let kept = 0;
    for (let sum = 0; kept < ids.length && (kept === 0 || sum < topP * total); kept += 1)
      sum += weights[ids[kept]!]!;
    ids = ids.slice(0, kept);
  }
  let mass = 0;
  for (const id of ids) mass += weights[id]!;
  return { ids, probabilities: ids.map((id) => weights[id]! / mass) };
}

/** What `topK` leaves of softmax(logits/temperature)·Σ, 0 of the others. */
function tokenWeights(
  logits: Float32Array,
  { temperature, topK }: Sampling,
): { readonly weights: Float64Array; readonly total: number } {
  const least =
    topK > 0 && topK < logits.length ? kthLargest(logits, topK) : Number.NEGATIVE_INFINITY;
  const largest = logits[likeliest(logits)]!;
  // plain loops: there are a hundred thousand tokens, and callbacks take five times as long
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let id = 0; id < logits.length; id += 1) {
    const logit = logits[id]!;
    if (!(logit >= least)) continue;
    const weight = Math.exp((logit - largest) / temperature);
    weights[id] = weight;
    total += weight;
  }
  return { weights, total };
}

/** The token of the uniform number `u` in [0, 1). */
export function drawToken({ ids, probabilities }: TokenDistribution, u: number): number {
  let sum = 0;
  for (let i = 0; i < ids.length; i += 1) {
    sum += probabilities[i]!;
    if (u < sum) return ids[i]!;
  }
  return ids.at(-1)!;
}

/**
 * The next token: the likeliest at temperature 0, else one drawn from `tokenDistribution`.
 * @param prompt and `step` name the random number, so that it does not depend on what shares the
 *   batch.
 */
export function chooseToken(
  logits: Float32Array,
  options: Sampling & Pick<ResolvedGeneration, 'seed' | 'seeds'>,
  prompt: number,
  step: number,
): number {
  if (options.temperature === 0) return likeliest(logits);
  const { seed, seeds } = options;
  // with a seed of its own a prompt is drawn for as if it was alone
  const key = seeds
    ? randomKey(seeds[prompt]!, 'generate', 0)
    : randomKey(seed, 'generate', prompt);
  const u = randomUniform(key, step);
  return options.topP < 1
    ? drawToken(tokenDistribution(logits, options), u)
    : drawByWeight(tokenWeights(logits, options), u);
}

/** As `drawToken` of the distribution without `topP`, whose list would be as long as the vocabulary. */
function drawByWeight({ weights, total }: ReturnType<typeof tokenWeights>, u: number): number {
  let last = 0;
  for (let id = 0, sum = 0; id < weights.length; id += 1) {
    if (!(weights[id]! > 0)) continue;
    sum += weights[id]! / total;
    if (u < sum) return id;
    last = id;
  }
  return last;
}

/** Changes the logits of tokens that stand in the text: z/penalty where z > 0, else z·penalty. */
export function penalizeRepetition(
  logits: Float32Array,
  text: Iterable<number>,
  penalty: number,
): void {
  if (penalty === 1) return;
  for (const id of new Set(text))
    logits[id] = logits[id]! > 0 ? logits[id]! / penalty : logits[id]! * penalty;
}

/**
 * Leaves one token where the first or the last of a text is given: its logit becomes 0, all others
 * −∞.
 * @param made tokens of the text so far. @param most tokens of it
 */
export function forceToken(
  logits: Float32Array,
  made: number,
  most: number,
  { firstId, lastId }: Pick<ResolvedGeneration, 'firstId' | 'lastId'>,
): void {
  const last = made === most - 1 ? lastId : undefined;
  const forced = last ?? (made === 0 ? firstId : undefined);
  if (forced === undefined) return;
  logits.fill(Number.NEGATIVE_INFINITY);
  logits[forced] = 0;
}

/** The k-th largest value, by a heap of the k largest so far with the least on top. */
function kthLargest(values: Float32Array, k: number): number {
  const heap = Float32Array.from(values.subarray(0, k)).sort(); // ascending order is a heap
  for (let i = k; i < values.length; i += 1) {
    const value = values[i]!;
    if (!(value > heap[0]!)) continue;
    let at = 0;
    for (let child = 1; child < k; child = 2 * at + 1) {
      if (child + 1 < k && heap[child + 1]! < heap[child]!) child += 1;
      if (heap[child]! >= value) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = value;
  }
  return heap[0]!;
}
