/**
 * Sums, shares, comparisons and the largest of many as operators of ONNX: what routers of experts
 * are made of, which choose without looking at results on the way.
 */
import type { TensorInfo } from '@tensorflow/tfjs';
import { cannotRecord } from './cannot-record.js';
import type { Recording } from './recording.js';
import type { Recorder } from './tensor-kernels.js';

type Inputs = Readonly<Record<string, TensorInfo>>;
type Attributes = Readonly<Record<string, unknown>>;

/** ONNX Runtime has the operator for float32 alone. */
const inFloat32 = (recording: Recording, value: string): string =>
  recording.graph.floatType === 'float32' ? value : recording.graph.cast(value, 'float32');

const inGraphType = (recording: Recording, value: string): string =>
  recording.graph.floatType === 'float32'
    ? value
    : recording.graph.cast(value, recording.graph.floatType);

const unary =
  (operator: string): Recorder =>
  (recording, { x }) =>
    recording.tensor(recording.graph.node(operator, [recording.valueOf(x!)]), x!.shape);

/** Axes that are counted from the front. */
const axesOf = (axis: unknown, rank: number): number[] =>
  (Array.isArray(axis) ? (axis as number[]) : [axis as number]).map((each) =>
    each < 0 ? each + rank : each,
  );

const reduced =
  (operator: 'ReduceSum' | 'ReduceMean'): Recorder =>
  (recording, { x }, { axis, keepDims }) => {
    const { graph } = recording;
    const axes = axesOf(axis, x!.shape.length);
    const keepdims = Number(keepDims === true);
    const value = recording.valueOf(x!);
    const kept = x!.shape.map((size, at) => (axes.includes(at) ? 1 : size));
    const shape = keepdims ? kept : kept.filter((_, at) => !axes.includes(at));
    // the axes of a sum are an input, those of a mean an attribute
    const made =
      operator === 'ReduceSum'
        ? graph.node(operator, [value, graph.integers(axes)], { keepdims })
        : graph.node(operator, [value], { axes, keepdims });
    return recording.tensor(made, shape);
  };

/** By tfjs's name of the kernel. */
export const CHOICE_KERNELS: Readonly<Record<string, Recorder>> = Object.freeze({
  Exp: unary('Exp'),
  Log: unary('Log'),
  Neg: unary('Neg'),
  Sigmoid: unary('Sigmoid'),
  Sum: reduced('ReduceSum'),
  Mean: reduced('ReduceMean'),
  Softmax: (recording: Recording, { logits }: Inputs) =>
    recording.tensor(
      recording.graph.node('Softmax', [recording.valueOf(logits!)], { axis: -1 }),
      logits!.shape,
    ),
  /** The largest of each row, and their places. */
  TopK(recording: Recording, { x }: Inputs, { k }: Attributes) {
    const { graph } = recording;
    const shape = [...x!.shape.slice(0, -1), k as number];
    const value = inFloat32(recording, recording.valueOf(x!));
    const [values, places] = graph.nodes('TopK', [value, graph.integers([k as number])], 2, {
      axis: -1,
    });
    return [
      recording.tensor(inGraphType(recording, values!), shape),
      recording.tensor(places!, shape, 'int32'),
    ];
  },
  OneHot(recording: Recording, { indices }: Inputs, { depth }: Attributes) {
    const { graph } = recording;
    const offAndOn = graph.integers([0, 1]);
    const size = graph.integers([depth as number], []);
    return recording.tensor(
      graph.node('OneHot', [recording.valueOf(indices!), size, offAndOn], { axis: -1 }),
      [...indices!.shape, depth as number],
      'int32',
    );
  },
  Cast(recording: Recording, { x }: Inputs, { dtype }: Attributes) {
    if (dtype !== 'float32') throw cannotRecord(`it makes ${String(dtype)} of numbers`);
    const { graph } = recording;
    return recording.tensor(graph.cast(recording.valueOf(x!), graph.floatType), x!.shape);
  },
  Greater: (recording: Recording, { a, b }: Inputs) =>
    recording.tensor(
      recording.graph.node('Greater', [recording.valueOf(a!), recording.valueOf(b!)]),
      a!.shape,
      'bool',
    ),
  Select: (recording: Recording, { condition, t, e }: Inputs) =>
    recording.tensor(
      recording.graph.node(
        'Where',
        [condition!, t!, e!].map((tensor) => recording.valueOf(tensor)),
      ),
      t!.shape,
    ),
  /** One number in place of many: what it is combined with has the shape. */
  Fill: (recording: Recording, _inputs: Inputs, { shape, value }: Attributes) =>
    recording.tensor(recording.graph.float(value as number), shape as number[]),
  Tile(recording: Recording, { x }: Inputs, { reps }: Attributes) {
    const { graph } = recording;
    const times = reps as number[];
    return recording.tensor(
      graph.node('Tile', [recording.valueOf(x!), graph.integers(times)]),
      x!.shape.map((size, at) => size * times[at]!),
    );
  },
  ExpandDims(recording: Recording, { input }: Inputs, { dim }: Attributes) {
    const at = (dim as number) < 0 ? input!.shape.length + 1 + (dim as number) : (dim as number);
    return recording.tensor(
      recording.unsqueeze(recording.valueOf(input!), at),
      input!.shape.toSpliced(at, 0, 1),
    );
  },
  /** The slices of an axis, without it. */
  Unpack(recording: Recording, { value }: Inputs, { axis }: Attributes) {
    const { graph } = recording;
    const [at] = axesOf(axis, value!.shape.length) as [number];
    const x = recording.valueOf(value!);
    return Array.from({ length: value!.shape[at]! }, (_, i) =>
      recording.tensor(
        graph.node('Gather', [x, graph.integers([i], [])], { axis: at }),
        value!.shape.toSpliced(at, 1),
      ),
    );
  },
  Slice(recording: Recording, { x }: Inputs, { begin, size }: Attributes) {
    const { graph } = recording;
    const starts = begin as number[];
    const shape = x!.shape.map((whole, at) => {
      const asked = (size as number[])[at]!;
      return asked < 0 ? whole - starts[at]! : asked;
    });
    const cut = shape.flatMap((length, at) => (length === x!.shape[at] ? [] : [at]));
    if (cut.some((at) => recording.trace.isOpen(x!.shape[at]!)))
      throw cannotRecord('it cuts a tensor between texts');
    if (cut.length === 0) return recording.tensor(recording.valueOf(x!), shape);
    const list = (of: (at: number) => number) => graph.integers(cut.map(of));
    return recording.tensor(
      graph.node('Slice', [
        recording.valueOf(x!),
        list((at) => starts[at]!),
        list((at) => starts[at]! + shape[at]!),
        list((at) => at),
      ]),
      shape,
    );
  },
});
