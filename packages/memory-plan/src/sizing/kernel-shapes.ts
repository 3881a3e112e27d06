/**
 * Shapes of what tfjs' kernels make, for those that training uses. What is missing here is asked of
 * tfjs' plain CPU kernel on zeros (see `register-sizing-kernels.ts`).
 */
import { backend_util as shapes, type DataType, type TensorInfo } from '@tensorflow/tfjs';

type Inputs = Readonly<Record<string, TensorInfo>>;
type Attributes = Readonly<Record<string, unknown>>;
export interface Made {
  readonly shape: readonly number[];
  readonly dtype?: DataType;
  /** The input whose values it shares. */ readonly shares?: TensorInfo;
}
export type ShapeRule = (inputs: Inputs, attributes: Attributes) => Made | readonly Made[];

const SAME = [
  'Abs',
  'Neg',
  'Square',
  'Sqrt',
  'Rsqrt',
  'Reciprocal',
  'Exp',
  'Expm1',
  'Log',
  'Log1p',
  'Tanh',
  'Sigmoid',
  'Relu',
  'Relu6',
  'Elu',
  'LeakyRelu',
  'Erf',
  'Sin',
  'Cos',
  'Floor',
  'Ceil',
  'Round',
  'Softplus',
  'Step',
  'Sign',
  'ClipByValue',
  'ZerosLike',
  'OnesLike',
  'Cumsum',
  'Reverse',
];
const BINARY = [
  'Add',
  'AddV2',
  'Sub',
  'Multiply',
  'RealDiv',
  'Maximum',
  'Minimum',
  'SquaredDifference',
  'Pow',
  'FloorDiv',
  'Mod',
];
const COMPARISONS = [
  'Equal',
  'NotEqual',
  'Greater',
  'GreaterEqual',
  'Less',
  'LessEqual',
  'LogicalAnd',
  'LogicalOr',
];
const REDUCTIONS = ['Sum', 'Mean', 'Max', 'Min', 'Prod'];

const only = (inputs: Inputs): TensorInfo => Object.values(inputs)[0]!;
const same: ShapeRule = (inputs) => ({ shape: only(inputs).shape, dtype: only(inputs).dtype });
const binary =
  (dtype?: DataType): ShapeRule =>
  ({ a, b }) => ({
    shape: shapes.assertAndGetBroadcastShape(a!.shape, b!.shape),
    dtype: dtype ?? a!.dtype,
  });
const alias =
  (shape: (input: TensorInfo, attributes: Attributes) => readonly number[]): ShapeRule =>
  (inputs, attributes) => ({
    shape: shape(only(inputs), attributes),
    dtype: only(inputs).dtype,
    shares: only(inputs),
  });

const reduce =
  (dtype?: DataType): ShapeRule =>
  (inputs, attributes) => {
    const x = only(inputs);
    const asked = (attributes['axis'] ?? attributes['reductionIndices']) as
      number | number[] | undefined;
    const axes = (
      asked === undefined || asked === null ? x.shape.map((_, axis) => axis) : [asked].flat()
    ).map((axis) => (axis < 0 ? axis + x.shape.length : axis));
    const reduced = attributes['keepDims'] ? [1] : [];
    return {
      shape: x.shape.flatMap((size, axis) => (axes.includes(axis) ? reduced : size)),
      dtype: dtype ?? x.dtype,
    };
  };

export const KERNEL_SHAPES: Readonly<Record<string, ShapeRule>> = Object.freeze({
  ...Object.fromEntries(SAME.map((name) => [name, same])),
  ...Object.fromEntries(BINARY.map((name) => [name, binary()])),
  ...Object.fromEntries(COMPARISONS.map((name) => [name, binary('bool')])),
  ...Object.fromEntries(REDUCTIONS.map((name) => [name, reduce()])),
  ArgMax: reduce('int32'),
  ArgMin: reduce('int32'),
  All: reduce('bool'),
  Any: reduce('bool'),
  Softmax: same,
  LogSoftmax: same,
  AddN: same,
  Identity: alias(({ shape }) => shape),
  Reshape: alias(({ shape }, { shape: asked }) => resolve(asked as number[], shape)),
  ExpandDims: alias(({ shape }, { dim }) => {
    const at = (dim as number) < 0 ? (dim as number) + shape.length + 1 : (dim as number);
    return [...shape.slice(0, at), 1, ...shape.slice(at)];
  }),
  Cast: ({ x }, { dtype }) =>
    x!.dtype === dtype
      ? { shape: x!.shape, dtype: x!.dtype, shares: x! }
      : { shape: x!.shape, dtype: dtype as DataType },
  Fill: (_, { shape, dtype }) => ({
    shape: shape as number[],
    dtype: (dtype as DataType | undefined) ?? 'float32',
  }),
  BatchMatMul: ({ a, b }, { transposeA, transposeB }) => {
    const outer = shapes.assertAndGetBroadcastShape(a!.shape.slice(0, -2), b!.shape.slice(0, -2));
    return {
      shape: [...outer, a!.shape.at(transposeA ? -1 : -2)!, b!.shape.at(transposeB ? -2 : -1)!],
      dtype: a!.dtype,
    };
  },
  Transpose: ({ x }, { perm }) => ({
    shape: (perm as number[]).map((axis) => x!.shape[axis]!),
    dtype: x!.dtype,
  }),
  Concat: (inputs, { axis }) => {
    const parts = Object.values(inputs);
    const at = (axis as number) < 0 ? (axis as number) + parts[0]!.shape.length : (axis as number);
    return {
      shape: parts[0]!.shape.map((size, i) =>
        i === at ? parts.reduce((sum, part) => sum + part.shape[i]!, 0) : size,
      ),
      dtype: parts[0]!.dtype,
    };
  },
  Slice: ({ x }, { begin, size }) => {
    const [from, count] = [[begin as number].flat(), [size as number].flat()];
    return {
      shape: x!.shape.map((length, axis) =>
        count[axis] === undefined || count[axis] === -1 ? length - (from[axis] ?? 0) : count[axis],
      ),
      dtype: x!.dtype,
    };
  },
  Select: ({ t }) => ({ shape: t!.shape, dtype: t!.dtype }),
  Tile: ({ x }, { reps }) => ({
    shape: x!.shape.map((size, axis) => size * (reps as number[])[axis]!),
    dtype: x!.dtype,
  }),
  PadV2: ({ x }, { paddings }) => ({
    shape: x!.shape.map(
      (size, axis) =>
        size + (paddings as number[][])[axis]![0]! + (paddings as number[][])[axis]![1]!,
    ),
    dtype: x!.dtype,
  }),
  OneHot: ({ indices }, { depth, dtype }) => ({
    shape: [...indices!.shape, depth as number],
    dtype: (dtype as DataType | undefined) ?? 'float32',
  }),
  Pack: (inputs, { axis }) => {
    const parts = Object.values(inputs);
    const at =
      (axis as number) < 0 ? (axis as number) + parts[0]!.shape.length + 1 : (axis as number);
    return {
      shape: [...parts[0]!.shape.slice(0, at), parts.length, ...parts[0]!.shape.slice(at)],
      dtype: parts[0]!.dtype,
    };
  },
  Unpack: ({ value }, { axis }) => {
    const at = (axis as number) < 0 ? (axis as number) + value!.shape.length : (axis as number);
    return Array.from({ length: value!.shape[at]! }, () => ({
      shape: value!.shape.filter((_, i) => i !== at),
      dtype: value!.dtype,
    }));
  },
  GatherV2: ({ x, indices }, { axis = 0 }) => ({
    shape: [
      ...x!.shape.slice(0, axis as number),
      ...indices!.shape,
      ...x!.shape.slice((axis as number) + 1),
    ],
    dtype: x!.dtype,
  }),
  GatherNd: ({ params, indices }) => ({
    shape: [...indices!.shape.slice(0, -1), ...params!.shape.slice(indices!.shape.at(-1))],
    dtype: params!.dtype,
  }),
  ScatterNd: ({ updates }, { shape }) => ({ shape: shape as number[], dtype: updates!.dtype }),
  TensorScatterUpdate: ({ tensor }) => ({ shape: tensor!.shape, dtype: tensor!.dtype }),
  TopK: ({ x }, { k }) => {
    const shape = [...x!.shape.slice(0, -1), k as number];
    return [
      { shape, dtype: x!.dtype },
      { shape, dtype: 'int32' },
    ];
  },
  UnsortedSegmentSum: ({ x }, { numSegments }) => ({
    shape: [numSegments as number, ...x!.shape.slice(1)],
    dtype: x!.dtype,
  }),
});

/** With −1 worked out. */
function resolve(asked: readonly number[], from: readonly number[]): number[] {
  const total = from.reduce((product, size) => product * size, 1);
  const known = asked.reduce((product, size) => (size === -1 ? product : product * size), 1);
  return asked.map((size) => (size === -1 ? total / known : size));
}
