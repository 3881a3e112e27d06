/** tfjs's matrix product, and sums with the thin products of low-rank adapters. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { isFloat } from '../native-backend.js';
import { override, register, sizeOf } from './register.js';

interface Attributes {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** Registers both. */
export function registerProducts(): void {
  override<Attributes>('BatchMatMul', ({ inputs, attributes, backend }) => {
    const { a, b } = inputs as Record<'a' | 'b', TensorInfo>;
    if (!isFloat(a) || !isFloat(b)) return undefined;
    const { transposeA = false, transposeB = false } = attributes;
    const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
    const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
    const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
    const [innerB, n] = transposeB ? [columnsB, rowsB] : [rowsB, columnsB];
    if (innerB !== k) return undefined; // the inherited kernel words the error
    const [outerA, outerB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
    const outer = broadcastOuter(outerA, outerB);
    if (!outer) return undefined;
    const batch = sizeOf(outer);
    const y = backend.create([...outer, m, n]);
    backend.binding.matmul(
      backend.values(a),
      backend.values(b),
      y.values,
      batch,
      m,
      n,
      k,
      transposeA,
      transposeB,
      batchIndex(outerA, outer),
      batchIndex(outerB, outer),
      false,
      false,
    );
    return y.info;
  });
  register<{ rows: readonly Int32Array[]; scales: readonly number[] }>(
    'PeftAddThinProducts',
    ({ inputs, attributes: { rows, scales }, backend }) => {
      const { y, x } = inputs as Record<'y' | 'x', TensorInfo>;
      const factors = (name: string): TensorInfo[] => rows.map((_, p) => inputs[`${name}${p}`]!);
      const out = backend.create(y.shape);
      let count = 0;
      backend.binding.addThinProducts(
        backend.values(y),
        backend.values(x),
        out.values,
        y.shape[0]!,
        y.shape[1]!,
        x.shape[1]!,
        Int32Array.from(rows.flatMap((some) => [...some])),
        Int32Array.from(rows, ({ length }) => (count += length)),
        factors('a').map((a) => backend.values(a)),
        factors('b').map((b) => backend.values(b)),
        Int32Array.from(factors('a'), ({ shape }) => shape[0]!),
        Float64Array.from(scales),
      );
      return out.info;
    },
  );
}

function broadcastOuter(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let axis = 0; axis < rank; axis += 1) {
    const [x, y] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.push(Math.max(x, y));
  }
  return out;
}

/** The operand's matrix for each matrix of the result; null when they are the same. */
function batchIndex(own: readonly number[], outer: readonly number[]): Int32Array | null {
  if (sizeOf(own) === sizeOf(outer)) return null;
  const padded = [...new Array<number>(outer.length - own.length).fill(1), ...own];
  return Int32Array.from({ length: sizeOf(outer) }, (_, i) => {
    let rest = i;
    let index = 0;
    let stride = 1;
    for (let axis = outer.length - 1; axis >= 0; axis -= 1) {
      const at = rest % outer[axis]!;
      rest = Math.floor(rest / outer[axis]!);
      if (padded[axis] !== 1) index += at * stride;
      stride *= padded[axis]!;
    }
    return index;
  });
}
