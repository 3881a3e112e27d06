/**
 * Principal directions of rows that come in pieces, in float64. Ross et al. 2008, "Incremental
 * Learning for Robust Visual Tracking":
 *
 *   X' = [diag(S)·V; X − x̄; √(m·n/(m+n))·(x̄_all − x̄)],  X' = U·S'·V'ᵀ
 *
 * with m rows before and n new ones; the k largest directions are kept. Signs: the largest element
 * of each direction is positive.
 */
import { randomizedSvd, truncatedSvd, type Rows, type Svd } from '@peft/ops';

/** State after some rows. */
export interface Principal {
  /** k unit vectors, those of the largest variance first. */
  readonly directions: readonly Float64Array[];
  /** S. */
  readonly singular: Float64Array;
  /** Share of all variance that each direction has. */
  readonly ratios: Float64Array;
  readonly mean: Float64Array;
  /** Σ (x − mean)² of each feature. */
  readonly squares: Float64Array;
  readonly rows: number;
}

/**
 * @param rows at least `count` of them
 * @param count k
 */
export function addRows(before: Principal | undefined, rows: Rows, count: number): Principal {
  const width = rows[0]!.length;
  const own = meanOf(rows, width);
  const centred = rows.map((row) => row.map((value, i) => value - own[i]!));
  const ownSquares = new Float64Array(width);
  for (const row of centred) row.forEach((value, i) => (ownSquares[i]! += value * value));
  const old = before?.rows ?? 0;
  const all = old + rows.length;
  const mean = own.map((value, i) =>
    before ? (before.mean[i]! * old + value * rows.length) / all : value,
  );
  const weight = (old * rows.length) / all;
  const squares = ownSquares.map(
    (value, i) =>
      value + (before ? before.squares[i]! + weight * (before.mean[i]! - own[i]!) ** 2 : 0),
  );
  const stacked = before
    ? [
        ...before.directions.map((direction, k) =>
          direction.map((value) => value * before.singular[k]!),
        ),
        ...centred,
        own.map((value, i) => Math.sqrt(weight) * (before.mean[i]! - value)),
      ]
    : centred;
  const { values, right } = largest(stacked, count);
  const total = squares.reduce((sum, value) => sum + value, 0);
  return {
    directions: right.map(positive),
    singular: values,
    ratios: values.map((value) => (value * value) / total),
    mean,
    squares,
    rows: all,
  };
}

/** Smaller sides are decomposed exactly: that is as fast. */
const EXACT_SIDE = 64;
/** Rounds of subspace iteration over twice as many directions, as PEFT has them. */
const ROUNDS = 4;

function largest(rows: Rows, count: number): Svd {
  if (Math.min(rows.length, rows[0]!.length) <= EXACT_SIDE) return truncatedSvd(rows, count);
  const { values, left, right } = randomizedSvd(rows, 2 * count, ROUNDS);
  return {
    values: values.slice(0, count),
    left: left.slice(0, count),
    right: right.slice(0, count),
  };
}

function meanOf(rows: Rows, width: number): Float64Array {
  const mean = new Float64Array(width);
  for (const row of rows) row.forEach((value, i) => (mean[i]! += value / rows.length));
  return mean;
}

/** Its largest element is positive. */
function positive(direction: Float64Array): Float64Array {
  const largest = direction.reduce(
    (most, value) => (Math.abs(value) > Math.abs(most) ? value : most),
    0,
  );
  return largest < 0 ? direction.map((value) => -value) : direction;
}
