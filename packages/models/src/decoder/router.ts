/**
 * Chooses each token's experts and weighs them: with logits z = W·x and p = softmax(z), the weights
 * of the K largest are p (Mixtral: divided by their sum), or the softmax of the chosen logits alone
 * (gpt-oss, Granite), or σ(z), chosen by σ(z) + c within the groups whose two best are the best
 * (DeepSeek-V3, section 2.1.2).
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { differentiable, gatherRows } from '@peft/ops';
import type { RouterConfig } from './experts-config.js';

export interface Routes {
  /** Expert k of token n at n·K + k. */
  readonly experts: Int32Array; // [N·K]
  readonly weights: Tensor2D; // [N·K, 1]
}

/** @param logits `[N, X]`. @param correction `[X]` of the choice, not of the weights. */
export function route(
  logits: Tensor2D,
  perToken: number,
  router: RouterConfig,
  correction?: Tensor1D,
): Routes {
  const [tokens, count] = logits.shape;
  const scores = scoresOf(logits, router.kind);
  // One wait: which rows go to which expert is decided here, so that no product is made in vain.
  const values = scores.dataSync() as Float32Array;
  const experts = new Int32Array(tokens * perToken);
  const shift = correction?.dataSync();
  for (let n = 0; n < tokens; n += 1) {
    const row = values.slice(n * count, (n + 1) * count);
    if (shift) shift.forEach((each, x) => (row[x]! += each));
    experts.set(largest(withinGroups(row, router), perToken), n * perToken);
  }
  const places = experts.map((x, at) => Math.floor(at / perToken) * count + x);
  const chosen = tf.reshape(gatherRows(tf.reshape(scores, [tokens * count, 1]), places), [
    tokens,
    perToken,
  ]) as Tensor2D;
  return { experts, weights: tf.reshape(weigh(chosen, router), [tokens * perToken, 1]) };
}

/**
 * The same choice without reading it, for a device: the weight of each token and expert, 0 where the
 * expert is not among the token's.
 * @returns `[N, X]`
 */
export function denseWeights(
  logits: Tensor2D,
  perToken: number,
  router: RouterConfig,
  correction?: Tensor1D,
): Tensor2D {
  const scores = scoresOf(logits, router.kind);
  const isChosen = constant(() => {
    const shifted = correction ? tf.add<Tensor2D>(scores, correction) : scores;
    return chosenPlaces(withinBestGroups(shifted, router), perToken);
  });
  if (router.kind === 'chosen')
    return tf.softmax(tf.add<Tensor2D>(logits, tf.mul(tf.sub(1, isChosen), -1e30)));
  return weigh(tf.mul(scores, isChosen), router);
}

/** What no gradient is to reach. */
const constant = (make: () => Tensor2D): Tensor2D =>
  differentiable<never, Tensor2D>(
    {},
    () => tf.tidy(make),
    () => ({}),
  );

/** 1 at the largest of each row, 0 elsewhere. */
function chosenPlaces(scores: Tensor2D, count: number): Tensor2D {
  const { indices } = tf.topk(scores, count);
  return tf.sum(tf.cast(tf.oneHot(indices as Tensor2D, scores.shape[1]), 'float32'), 1);
}

function withinBestGroups(scores: Tensor2D, { groups, chosenGroups }: RouterConfig): Tensor2D {
  if (groups === chosenGroups) return scores;
  const [tokens, count] = scores.shape;
  const size = count / groups;
  const best = tf.topk(tf.reshape(scores, [tokens, groups, size]), Math.min(2, size)).values;
  const kept = chosenPlaces(tf.sum<Tensor2D>(best, 2), chosenGroups); // [N, G]
  const spread = tf.reshape(tf.tile(tf.expandDims(kept, 2), [1, 1, size]), [tokens, count]);
  return tf.where(tf.greater(spread, 0), scores, tf.fill(scores.shape, -1e30)) as Tensor2D;
}

function scoresOf(logits: Tensor2D, kind: RouterConfig['kind']): Tensor2D {
  if (kind === 'chosen') return logits;
  return kind === 'softmax' ? tf.softmax(logits) : tf.sigmoid(logits);
}

function weigh(chosen: Tensor2D, { kind, normalises, scale }: RouterConfig): Tensor2D {
  if (kind === 'chosen') return tf.softmax(chosen);
  const weights = normalises
    ? (tf.div(chosen, tf.add(tf.sum(chosen, 1, true), kind === 'sigmoid' ? 1e-20 : 0)) as Tensor2D)
    : chosen;
  return scale === 1 ? weights : tf.mul<Tensor2D>(weights, scale);
}

/** Scores outside the groups whose two best add up to most are −∞. */
function withinGroups(row: Float32Array, { groups, chosenGroups }: RouterConfig): Float32Array {
  if (groups === chosenGroups) return row;
  const size = row.length / groups;
  const sums = Float32Array.from({ length: groups }, (_, g) => {
    const group = row.subarray(g * size, (g + 1) * size);
    return largest(group, 2).reduce((sum, x) => sum + group[x]!, 0);
  });
  const kept = new Set(largest(sums, chosenGroups));
  return row.map((value, x) => (kept.has(Math.floor(x / size)) ? value : -Infinity));
}

/** Places of the largest values, the largest first; of equal ones the first. */
function largest(values: Float32Array, count: number): number[] {
  return Array.from(values.keys())
    .sort((a, b) => values[b]! - values[a]! || a - b)
    .slice(0, count);
}

/**
 * The load-balancing loss of Switch Transformer (Fedus et al. 2022, eq. 4–6) over the routers of all
 * blocks: X·Σ_x share_x·p_x, share_x of the rows that choose expert x and p_x its mean probability.
 * @param logits of each router `[N, X]`
 */
export function balancingLoss(logits: readonly Tensor2D[], perToken: number): tf.Scalar {
  const all = tf.concat([...logits], 0); // [L·N, X]
  const [rows, count] = all.shape;
  const probabilities = tf.softmax(all);
  // counts have no gradient
  const share = constant(() =>
    tf.div(tf.sum(chosenPlaces(probabilities, perToken), 0, true), rows),
  );
  return tf.mul(tf.sum(tf.mul(tf.mean(probabilities, 0, true), share)), count) as tf.Scalar;
}
