/**
 * tfjs's elementwise kernels, where operands are float32 and equal, a row, a column or a number.
 */
import type { TensorInfo } from '@tensorflow/tfjs';
import { BINARY, LAYOUT, UNARY } from '../binding/elementwise.js';
import { isFloat } from '../native-backend.js';
import { override, sizeOf } from './register.js';

const BINARY_KERNELS: Readonly<Record<string, number>> = {
  Add: BINARY.add,
  AddV2: BINARY.add,
  Sub: BINARY.subtract,
  Multiply: BINARY.multiply,
  RealDiv: BINARY.divide,
  Maximum: BINARY.maximum,
  Minimum: BINARY.minimum,
  SquaredDifference: BINARY.squaredDifference,
};
const UNARY_KERNELS: Readonly<Record<string, number>> = {
  Neg: UNARY.negate,
  Abs: UNARY.absolute,
  Square: UNARY.square,
  Sqrt: UNARY.sqrt,
  Rsqrt: UNARY.rsqrt,
  Reciprocal: UNARY.reciprocal,
  Exp: UNARY.exp,
  Log: UNARY.log,
  Tanh: UNARY.tanh,
  Sigmoid: UNARY.sigmoid,
  Relu: UNARY.relu,
  Erf: UNARY.erf,
};

/** Registers the elementwise kernels; `known` says which kernels tfjs has to hand odd calls to. */
export function registerElementwise(known: (kernelName: string) => boolean): void {
  for (const [name, operation] of Object.entries(BINARY_KERNELS)) {
    if (!known(name)) continue;
    override(name, ({ inputs, backend }) => {
      const { a, b } = inputs as Record<'a' | 'b', TensorInfo>;
      if (!isFloat(a) || !isFloat(b)) return undefined;
      const plan = layOut(a.shape, b.shape);
      if (!plan) return undefined;
      const y = backend.create(plan.shape);
      backend.binding.binary(
        operation,
        backend.values(a),
        plan.layoutA,
        backend.values(b),
        plan.layoutB,
        y.values,
        plan.rows,
        plan.columns,
      );
      return y.info;
    });
  }
  for (const [name, operation] of Object.entries(UNARY_KERNELS)) {
    override(name, ({ inputs, backend }) => {
      const x = inputs['x']!;
      if (!isFloat(x)) return undefined;
      const y = backend.create(x.shape);
      backend.binding.unary(operation, backend.values(x), y.values, y.values.length);
      return y.info;
    });
  }
  // tfjs gives a boolean's bytes the name of float32, which no kernel here can read
  override<{ dtype: string }>('Cast', ({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    if (attributes.dtype !== 'float32' || (x.dtype !== 'bool' && x.dtype !== 'int32'))
      return undefined;
    const y = backend.create(x.shape);
    y.values.set(backend.data.get(x.dataId).values as Uint8Array | Int32Array);
    return y.info;
  });
  override<{ clipValueMin: number; clipValueMax: number }>(
    'ClipByValue',
    ({ inputs, attributes, backend }) => {
      const x = inputs['x']!;
      if (!isFloat(x)) return undefined;
      const y = backend.create(x.shape);
      backend.binding.clip(
        backend.values(x),
        y.values,
        y.values.length,
        attributes.clipValueMin,
        attributes.clipValueMax,
      );
      return y.info;
    },
  );
  override<{ shape: number[]; value: number | string; dtype?: string }>(
    'Fill',
    ({ attributes, backend }) => {
      if (
        typeof attributes.value !== 'number' ||
        (attributes.dtype !== undefined && attributes.dtype !== 'float32')
      )
        return undefined;
      const y = backend.create(attributes.shape);
      backend.binding.fill(y.values, y.values.length, attributes.value);
      return y.info;
    },
  );
  for (const [name, value] of [
    ['ZerosLike', 0],
    ['OnesLike', 1],
  ] as const) {
    override(name, ({ inputs, backend }) => {
      const x = inputs['x']!;
      if (!isFloat(x)) return undefined;
      const y = backend.create(x.shape);
      backend.binding.fill(y.values, y.values.length, value);
      return y.info;
    });
  }
}

interface Plan {
  readonly shape: readonly number[];
  readonly layoutA: number;
  readonly layoutB: number;
  readonly rows: number;
  readonly columns: number;
}

/** How the operands lie over the result, where the addon has a loop for it. */
function layOut(a: readonly number[], b: readonly number[]): Plan | undefined {
  const [sizeA, sizeB] = [sizeOf(a), sizeOf(b)];
  if (sizeA === sizeB && a.length === b.length && a.every((size, i) => size === b[i]))
    return { shape: a, layoutA: LAYOUT.full, layoutB: LAYOUT.full, rows: 1, columns: sizeA };
  const [large, small, swapped] =
    a.length > b.length || (a.length === b.length && sizeA >= sizeB) ? [a, b, false] : [b, a, true];
  const kind = smallLayout(large, small);
  if (!kind) return undefined;
  const [layoutA, layoutB] = swapped ? [kind.layout, LAYOUT.full] : [LAYOUT.full, kind.layout];
  return { shape: large, layoutA, layoutB, rows: kind.rows, columns: kind.columns };
}

function smallLayout(
  large: readonly number[],
  small: readonly number[],
): { layout: number; rows: number; columns: number } | undefined {
  const total = sizeOf(large);
  const size = sizeOf(small);
  if (size === 1) return { layout: LAYOUT.scalar, rows: 1, columns: total };
  const padded = [...new Array<number>(large.length - small.length).fill(1), ...small];
  const firstOwn = padded.findIndex((length) => length !== 1);
  if (padded.slice(firstOwn).every((length, i) => length === large[firstOwn + i]))
    return { layout: LAYOUT.row, rows: total / size, columns: size };
  const lastOwn = padded.findLastIndex((length) => length !== 1);
  if (padded.slice(0, lastOwn + 1).every((length, i) => length === large[i]))
    return { layout: LAYOUT.column, rows: size, columns: total / size };
  return undefined;
}
