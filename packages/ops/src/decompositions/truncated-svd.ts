/**
 * The largest singular values of a matrix W `[m, n]` with their vectors, W ≈ U·diag(S)·Vᵀ, in
 * float64.
 */
import { randomKey, randomNormal } from '../random/counter-random.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** The first r parts of M = Σ Sᵢ·uᵢ·vᵢᵀ, M `[m, n]`. */
export interface Svd {
  /** S: the r largest, largest first. */
  readonly values: Float64Array;
  /** r unit vectors of m elements. */
  readonly left: readonly Float64Array[];
  /** r unit vectors of n elements. */
  readonly right: readonly Float64Array[];
}

/** Rows of W. */
export type Rows = readonly Float64Array[];

/** Rows of a matrix in row-major order. */
export function rowsOf(values: ArrayLike<number>, rows: number, columns: number): Float64Array[] {
  return Array.from({ length: rows }, (_, i) =>
    Float64Array.from({ length: columns }, (_value, j) => values[i * columns + j]!),
  );
}

/**
 * From the eigenvectors of the smaller of W·Wᵀ and Wᵀ·W; the time grows with min(m, n)²·max(m, n).
 */
export function truncatedSvd(w: Rows, rank: number): Svd {
  if (w.length > w[0]!.length) {
    const { values, left, right } = truncatedSvd(transpose(w), rank);
    return { values, left: right, right: left };
  }
  const gram = w.map((row, i) =>
    Float64Array.from({ length: w.length }, (_, j) => (j <= i ? dot(row, w[j]!) : 0)),
  );
  gram.forEach((row, i) => {
    for (let j = i + 1; j < row.length; j += 1) row[j] = gram[j]![i]!;
  });
  const { vectors } = symmetricEigen(gram);
  return fromLeft(w, vectors.slice(0, rank));
}

/**
 * By subspace iteration from a random start (Halko, Martinsson and Tropp 2011, algorithm 4.4):
 * close to the true one after a few rounds, and the time grows with m·n·r alone.
 *
 * @param start a seed, or r vectors of n elements to start from
 */
export function randomizedSvd(
  w: Rows,
  rank: number,
  iterations: number,
  start: number | Rows = 0,
): Svd {
  const columns = w[0]!.length;
  const size = Math.min(rank, w.length, columns);
  let right = typeof start === 'number' ? randomVectors(size, columns, start) : start;
  let left: Float64Array[] = orthonormal(right.map((v) => times(w, v)));
  for (let round = 0; round < iterations; round += 1) {
    right = orthonormal(left.map((u) => timesTransposed(w, u)));
    left = orthonormal(right.map((v) => times(w, v)));
  }
  // The small matrix left·W has the singular values; its own decomposition turns the basis.
  const small = truncatedSvd(
    left.map((u) => timesTransposed(w, u)),
    left.length,
  );
  const turned = small.left.map((weights) =>
    Float64Array.from({ length: w.length }, (_, i) =>
      left.reduce((sum, u, k) => sum + weights[k]! * u[i]!, 0),
    ),
  );
  return { values: small.values, left: turned, right: small.right };
}

function randomVectors(count: number, length: number, seed: number): Rows {
  const key = randomKey(seed, 'randomized-svd');
  return Array.from({ length: count }, (_, k) =>
    Float64Array.from({ length }, (_value, j) => randomNormal(key, k * length + j)),
  );
}

/** The first r columns of Q and rows of R of W = Q·R, by Gram and Schmidt, each vector twice. */
export function truncatedQr(
  w: Rows,
  rank: number,
): { readonly q: readonly Float64Array[]; readonly r: readonly Float64Array[] } {
  const q = orthonormal(
    Array.from({ length: rank }, (_, k) => Float64Array.from(w, (row) => row[k]!)),
  );
  return { q, r: q.map((u) => timesTransposed(w, u)) };
}

/** V = Wᵀ·U/S. */
function fromLeft(w: Rows, vectors: readonly Float64Array[]): Svd {
  const products = vectors.map((u) => timesTransposed(w, u));
  const values = Float64Array.from(products, (v) => Math.sqrt(dot(v, v)));
  return {
    values,
    left: vectors,
    right: products.map((v, k) => v.map((value) => (values[k]! > 0 ? value / values[k]! : 0))),
  };
}

function orthonormal(vectors: readonly Float64Array[]): Float64Array[] {
  const basis: Float64Array[] = [];
  for (const vector of vectors) {
    const v = Float64Array.from(vector);
    for (let pass = 0; pass < 2; pass += 1) {
      for (const u of basis) {
        const overlap = dot(u, v);
        for (let i = 0; i < v.length; i += 1) v[i]! -= overlap * u[i]!;
      }
    }
    const norm = Math.sqrt(dot(v, v));
    basis.push(norm > 0 ? v.map((value) => value / norm) : v);
  }
  return basis;
}

const transpose = (w: Rows): Float64Array[] =>
  Array.from({ length: w[0]!.length }, (_, j) => Float64Array.from(w, (row) => row[j]!));
const times = (w: Rows, v: Float64Array): Float64Array =>
  Float64Array.from(w, (row) => dot(row, v));

function timesTransposed(w: Rows, u: Float64Array): Float64Array {
  const out = new Float64Array(w[0]!.length);
  w.forEach((row, i) => {
    const factor = u[i]!;
    for (let j = 0; j < row.length; j += 1) out[j]! += factor * row[j]!;
  });
  return out;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
}
