/**
 * FRoD's linear algebra in float64: the basis V `[in, in]` that the layers of one kind share, and a
 * layer's own U `[out, in]` and λ `[in]` with W = U·diag(λ)·Vᵀ, columns of U of length 1.
 *
 *   G = Σᵢ Wᵢᵀ·Wᵢ = Rᵀ·R,  T = meanᵢ (R⁻ᵀ·Wᵢᵀ·Wᵢ·R⁻¹ + α·I)⁻¹ = E·Λ·Eᵀ,  V = Rᵀ·E
 *
 * Where the layers have fewer rows than columns together, V holds the right singular vectors.
 */
import { symmetricEigen, type Rows } from '@peft/ops';

type Square = Float64Array[];

/** @param weights of the layers, each `[out, in]`. @param alpha keeps the inverses stable. @returns rows of V */
export function jointBasis(weights: readonly Rows[], alpha: number): Square {
  const size = weights[0]![0]!.length;
  const grams = weights.map(gramOf);
  const sum = square(size, (i, j) => grams.reduce((all, gram) => all + gram[i]![j]!, 0));
  if (weights.reduce((rows, weight) => rows + weight.length, 0) < size)
    return transposed(symmetricEigen(sum).vectors);
  const lower = cholesky(sum); // Rᵀ
  const mean = square(size, () => 0);
  for (const gram of grams) {
    // R⁻ᵀ·Wᵀ·W·R⁻¹: the lower triangle solved from both sides
    const half = forward(lower, gram);
    const term = forward(lower, transposed(half));
    term.forEach((row, i) => (row[i]! += alpha));
    const inverse = solve(term, identity(size));
    inverse.forEach((row, i) => row.forEach((value, j) => (mean[i]![j]! += value)));
  }
  const { vectors } = symmetricEigen(
    square(size, (i, j) => (mean[i]![j]! + mean[j]![i]!) / (2 * grams.length)),
  );
  // smallest first, as LAPACK has them
  return product(lower, transposed([...vectors].reverse()));
}

/** @param basis rows of V. @param weight rows of W. @returns U, row by row, and λ */
export function layerFactors(
  basis: Rows,
  weight: Rows,
): { readonly u: Float32Array; readonly lambda: Float32Array } {
  const size = basis.length;
  const rows = solve(
    basis.map((row) => Float64Array.from(row)),
    transposed(weight),
  ); // [in, out]
  const lambda = Float32Array.from(rows, (row) => Math.sqrt(dot(row, row)));
  const u = new Float32Array(weight.length * size);
  rows.forEach((row, j) => {
    const length = Math.sqrt(dot(row, row));
    if (length > 1e-12) row.forEach((value, i) => (u[i * size + j] = value / length));
  });
  return { u, lambda };
}

function gramOf(weight: Rows): Square {
  const size = weight[0]!.length;
  const gram = square(size, () => 0);
  for (const row of weight)
    for (let i = 0; i < size; i += 1) {
      const [value, into] = [row[i]!, gram[i]!];
      for (let j = 0; j < size; j += 1) into[j]! += value * row[j]!;
    }
  return gram;
}

/** L with A = L·Lᵀ. Directions that the layers hardly have are kept by a rounding's worth. */
function cholesky(a: Square): Square {
  const size = a.length;
  const most = a.reduce((largest, row, i) => Math.max(largest, row[i]!), 0);
  const lower = square(size, () => 0);
  for (let i = 0; i < size; i += 1)
    for (let j = 0; j <= i; j += 1) {
      let rest = a[i]![j]!;
      for (let k = 0; k < j; k += 1) rest -= lower[i]![k]! * lower[j]![k]!;
      if (i === j) lower[i]![i] = Math.sqrt(Math.max(rest, most * 1e-14, Number.MIN_VALUE));
      else lower[i]![j] = rest / lower[j]![j]!;
    }
  return lower;
}

/** L⁻¹·B. */
function forward(lower: Square, b: Square): Square {
  const out = b.map((row) => Float64Array.from(row));
  out.forEach((row, i) => {
    for (let k = 0; k < i; k += 1) subtract(row, out[k]!, lower[i]![k]!);
    for (let j = 0; j < row.length; j += 1) row[j]! /= lower[i]![i]!;
  });
  return out;
}

/** A⁻¹·B by elimination with the largest pivot; overwrites both. */
function solve(a: Square, b: Square): Square {
  const size = a.length;
  for (let column = 0; column < size; column += 1) {
    let pivot = column;
    for (let i = column + 1; i < size; i += 1)
      if (Math.abs(a[i]![column]!) > Math.abs(a[pivot]![column]!)) pivot = i;
    [a[column], a[pivot]] = [a[pivot]!, a[column]!];
    [b[column], b[pivot]] = [b[pivot]!, b[column]!];
    for (let i = column + 1; i < size; i += 1) {
      const factor = a[i]![column]! / a[column]![column]!;
      if (factor === 0) continue;
      subtract(a[i]!, a[column]!, factor);
      subtract(b[i]!, b[column]!, factor);
    }
  }
  for (let i = size - 1; i >= 0; i -= 1) {
    for (let k = i + 1; k < size; k += 1) subtract(b[i]!, b[k]!, a[i]![k]!);
    for (let j = 0; j < b[i]!.length; j += 1) b[i]![j]! /= a[i]![i]!;
  }
  return b;
}

function subtract(row: Float64Array, other: Float64Array, factor: number): void {
  for (let j = 0; j < row.length; j += 1) row[j]! -= factor * other[j]!;
}

const square = (size: number, value: (i: number, j: number) => number): Square =>
  Array.from({ length: size }, (_, i) =>
    Float64Array.from({ length: size }, (_value, j) => value(i, j)),
  );
const identity = (size: number): Square => square(size, (i, j) => Number(i === j));
const transposed = (rows: Rows): Square =>
  Array.from(rows[0]!, (_, j) => Float64Array.from(rows, (row) => row[j]!));
const product = (a: Square, b: Square): Square => {
  const columns = transposed(b);
  return a.map((row) => Float64Array.from(columns, (column) => dot(row, column)));
};
const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
};
