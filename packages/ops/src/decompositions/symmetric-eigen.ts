/**
 * Eigenvalues and eigenvectors of a symmetric matrix in float64: Householder reflections make it
 * tridiagonal, then QL steps with implicit shifts make it diagonal. Golub and Van Loan, Matrix
 * Computations, sections 8.3.1 and 8.3.3.
 */
import { PeftError } from '@peft/errors';

/** Largest first; `vectors[k]` is the k-th unit eigenvector. */
export interface Eigen {
  readonly values: Float64Array;
  readonly vectors: readonly Float64Array[];
}

/** More than are ever needed: two are usual. */
const MAXIMUM_SWEEPS = 60;

/**
 * @param matrix rows of a symmetric matrix; overwritten.
 * @throws PEFT_EIGEN_DIVERGED for values that are not finite
 */
export function symmetricEigen(matrix: Float64Array[]): Eigen {
  const { diagonal, below, vectors } = tridiagonal(matrix);
  diagonalize(diagonal, below, vectors);
  const order = Array.from(diagonal.keys()).sort((a, b) => diagonal[b]! - diagonal[a]!);
  return {
    values: Float64Array.from(order, (i) => diagonal[i]!),
    vectors: order.map((i) => vectors[i]!),
  };
}

/** A = Q·T·Qᵀ. Row j of `vectors` is column j of Q. */
function tridiagonal(a: Float64Array[]): {
  diagonal: Float64Array;
  below: Float64Array;
  vectors: Float64Array[];
} {
  const n = a.length;
  const reflections: { readonly start: number; readonly v: Float64Array; readonly beta: number }[] =
    [];
  const product = new Float64Array(n);
  for (let k = 0; k + 2 < n; k += 1) {
    const start = k + 1;
    const v = Float64Array.from({ length: n - start }, (_, i) => a[start + i]![k]!);
    const norm = Math.hypot(...chunks(v));
    if (norm === 0) continue;
    v[0]! += v[0]! >= 0 ? norm : -norm;
    const beta = 2 / v.reduce((sum, value) => sum + value * value, 0);
    // A ← (I − βvvᵀ)·A·(I − βvvᵀ), by p = βAv and w = p − (β/2)(pᵀv)v: A ← A − vwᵀ − wvᵀ
    let overlap = 0;
    for (let i = start; i < n; i += 1) {
      const row = a[i]!;
      let sum = 0;
      for (let j = start; j < n; j += 1) sum += row[j]! * v[j - start]!;
      product[i] = beta * sum;
      overlap += product[i]! * v[i - start]!;
    }
    for (let i = start; i < n; i += 1) product[i]! -= (beta / 2) * overlap * v[i - start]!;
    for (let i = start; i < n; i += 1) {
      const row = a[i]!;
      const [vi, wi] = [v[i - start]!, product[i]!];
      for (let j = start; j < n; j += 1) row[j]! -= vi * product[j]! + wi * v[j - start]!;
    }
    const first = a[start]![k]!;
    const reflected = first >= 0 ? -norm : norm;
    a[start]![k] = reflected;
    a[k]![start] = reflected;
    reflections.push({ start, v, beta });
  }
  const vectors = Array.from({ length: n }, (_, j) =>
    Float64Array.from({ length: n }, (_value, i) => (i === j ? 1 : 0)),
  );
  // Q = H₁·H₂·…, applied from the right end to the columns of the identity.
  for (const { start, v, beta } of reflections.reverse()) {
    for (let j = start; j < n; j += 1) {
      const column = vectors[j]!;
      let sum = 0;
      for (let i = start; i < n; i += 1) sum += v[i - start]! * column[i]!;
      if (sum === 0) continue;
      sum *= beta;
      for (let i = start; i < n; i += 1) column[i]! -= sum * v[i - start]!;
    }
  }
  return {
    diagonal: Float64Array.from({ length: n }, (_, i) => a[i]![i]!),
    below: Float64Array.from({ length: n }, (_, i) => (i + 1 < n ? a[i + 1]![i]! : 0)),
    vectors,
  };
}

/** T = Z·Λ·Zᵀ; the rows of `vectors` are turned with it. `below[i]` stands below `diagonal[i]`. */
function diagonalize(
  diagonal: Float64Array,
  below: Float64Array,
  vectors: readonly Float64Array[],
): void {
  const n = diagonal.length;
  // Against the largest value: a matrix of low rank is nothing but rounding beyond it.
  const negligible =
    Number.EPSILON *
    diagonal.reduce((most, value, i) => Math.max(most, Math.abs(value) + Math.abs(below[i]!)), 0);
  for (let low = 0; low < n; low += 1) {
    for (let sweep = 0; ; sweep += 1) {
      let high = low;
      while (high + 1 < n && Math.abs(below[high]!) > negligible) high += 1;
      if (high === low) break;
      if (sweep === MAXIMUM_SWEEPS)
        throw new PeftError(
          'PEFT_EIGEN_DIVERGED',
          'lora: the singular values of a weight were not found.',
          { hint: 'the weight probably holds values that are not finite' },
        );
      qlStep(diagonal, below, vectors, low, high);
    }
  }
}

/** One QL step with Wilkinson's shift on rows low … high. */
function qlStep(
  diagonal: Float64Array,
  below: Float64Array,
  vectors: readonly Float64Array[],
  low: number,
  high: number,
): void {
  const ratio = (diagonal[low + 1]! - diagonal[low]!) / (2 * below[low]!);
  const root = Math.hypot(ratio, 1);
  let g = diagonal[high]! - diagonal[low]! + below[low]! / (ratio + (ratio >= 0 ? root : -root));
  let [sine, cosine, shift] = [1, 1, 0];
  for (let i = high - 1; i >= low; i -= 1) {
    const f = sine * below[i]!;
    const b = cosine * below[i]!;
    const r = Math.hypot(f, g);
    below[i + 1] = r;
    if (r === 0) {
      diagonal[i + 1]! -= shift;
      below[high] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    const p = diagonal[i + 1]! - shift;
    const q = (diagonal[i]! - p) * sine + 2 * cosine * b;
    shift = sine * q;
    diagonal[i + 1] = p + shift;
    g = cosine * q - b;
    const [upper, lower] = [vectors[i + 1]!, vectors[i]!];
    for (let k = 0; k < upper.length; k += 1) {
      const value = upper[k]!;
      upper[k] = sine * lower[k]! + cosine * value;
      lower[k] = cosine * lower[k]! - sine * value;
    }
  }
  diagonal[low]! -= shift;
  below[low] = g;
  below[high] = 0;
}

/** The norm without an argument for each of thousands of elements. */
function chunks(v: Float64Array): number[] {
  const out: number[] = [];
  for (let i = 0; i < v.length; i += 4096) out.push(Math.hypot(...v.subarray(i, i + 4096)));
  return out;
}
