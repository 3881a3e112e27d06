/**
 * Lloyd's k-means from a start that follows from a seed, as scikit-learn 1.9's `KMeans(init='random',
 * n_init=1, random_state=seed)` finds it: what hangs on the clusters is the same in both.
 */
import { mersenneTwister, type Rows } from '@peft/ops';

/** scikit-learn's: centres that move less, measured in the data's mean variance, are done. */
const TOLERANCE = 1e-4;

/** Where the points belong. */
export interface Clusters {
  /** The cluster of each point. */
  readonly labels: Int32Array;
  /** Squared distances of each point to the clusters' centres, over the data's variance. */
  readonly distances: Rows;
}

/** @param points of equal length, at least `count` of them */
export function kMeans(points: Rows, count: number, rounds: number, seed: number): Clusters {
  const centred = withoutMean(points);
  const size = centred[0]!.length;
  const spread = centred.reduce((sum, point) => sum + dot(point, point), 0);
  const tolerance = (TOLERANCE * spread) / (centred.length * size);
  let centers: Rows = drawWithoutReplacement(centred.length, count, seed).map((i) => centred[i]!);
  let before: Int32Array | undefined;
  for (let round = 0; round < rounds; round += 1) {
    const labels = nearest(centred, centers);
    const moved = means(centred, labels, centers);
    const isSettled = before?.every((label, i) => label === labels[i]);
    const shift = moved.reduce((sum, center, k) => sum + distance(center, centers[k]!), 0);
    centers = moved;
    before = labels;
    if (isSettled || shift <= tolerance) break;
  }
  const variance = spread / centred.length || 1;
  return {
    labels: nearest(centred, centers),
    distances: centred.map((point) =>
      Float64Array.from(centers, (center) => distance(point, center) / variance),
    ),
  };
}

/**
 * The labels that give clusters of these sizes, where some points lie between two within `slack`:
 * rounding decides there, and another machine decided otherwise. Undefined where none do.
 */
export function ofSizes(
  { labels, distances }: Clusters,
  sizes: readonly number[],
  slack: number,
): Int32Array | undefined {
  const settled = labels.slice();
  const missing = sizes.map((size, k) => size - labels.filter((label) => label === k).length);
  for (;;) {
    const moves = [...settled].flatMap((from, i) =>
      missing.flatMap((more, to) =>
        more > 0 && missing[from]! < 0
          ? [{ i, from, to, gap: distances[i]![to]! - distances[i]![from]! }]
          : [],
      ),
    );
    const [best] = moves.sort((a, b) => a.gap - b.gap);
    if (!best) return missing.every((more) => more === 0) ? settled : undefined;
    if (best.gap > slack) return undefined;
    settled[best.i] = best.to;
    missing[best.from]! += 1;
    missing[best.to]! -= 1;
  }
}

function withoutMean(points: Rows): Float64Array[] {
  const mean = new Float64Array(points[0]!.length);
  for (const point of points) point.forEach((value, i) => (mean[i]! += value / points.length));
  return points.map((point) => point.map((value, i) => value - mean[i]!));
}

function nearest(points: Rows, centers: Rows): Int32Array {
  const squares = centers.map((center) => dot(center, center));
  return Int32Array.from(points, (point) => {
    let [best, least] = [0, Infinity];
    centers.forEach((center, k) => {
      const far = squares[k]! - 2 * dot(point, center);
      if (far < least) [best, least] = [k, far];
    });
    return best;
  });
}

/** Of each cluster; one without points takes the point that is farthest from its own centre. */
function means(points: Rows, labels: Int32Array, centers: Rows): Float64Array[] {
  const sums = centers.map((center) => new Float64Array(center.length));
  const counts = new Int32Array(centers.length);
  const move = (point: Float64Array, k: number, sign: 1 | -1): void => {
    counts[k]! += sign;
    point.forEach((value, i) => (sums[k]![i]! += sign * value));
  };
  points.forEach((point, i) => move(point, labels[i]!, 1));
  const empty = [...counts.keys()].filter((k) => counts[k] === 0);
  const far = points.map((point, i) => distance(point, centers[labels[i]!]!));
  const order = empty.length === 0 ? [] : [...far.keys()].sort((a, b) => far[b]! - far[a]!);
  empty.forEach((k, rank) => {
    const i = order[rank]!;
    move(points[i]!, labels[i]!, -1);
    move(points[i]!, k, 1);
  });
  return sums.map((sum, k) => sum.map((value) => value / Math.max(counts[k]!, 1)));
}

/**
 * `count` numbers below `length`, all as likely, as NumPy's `RandomState(seed).choice(length, count,
 * replace=False, p=1/length)` draws them: twice drawn ones are drawn again from the rest.
 */
function drawWithoutReplacement(length: number, count: number, seed: number): number[] {
  const random = mersenneTwister(seed);
  const uniform = (): number => ((random() >>> 5) * 2 ** 26 + (random() >>> 6)) * 2 ** -53;
  const drawn = new Set<number>();
  while (drawn.size < count) {
    const left = Array.from({ length }, (_, i) => i).filter((i) => !drawn.has(i));
    for (const at of Array.from({ length: count - drawn.size }, uniform))
      drawn.add(left[Math.floor(at * left.length)]!);
  }
  return [...drawn];
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
};
const distance = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i]! - b[i]!) ** 2;
  return sum;
};
