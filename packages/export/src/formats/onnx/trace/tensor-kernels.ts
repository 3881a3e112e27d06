/** tfjs's own operations as operators of ONNX. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { cannotRecord } from './cannot-record.js';
import type { Recording } from './recording.js';
import type { TraceBatch } from './trace-batch.js';

type Inputs = Readonly<Record<string, TensorInfo>>;
type Attributes = Readonly<Record<string, unknown>>;
/** Writes an operation down. @returns tensors for its results */
export type Recorder = (
  recording: Recording,
  inputs: Inputs,
  attributes: Attributes,
) => TensorInfo | TensorInfo[];

/** Operators on two tensors, under tfjs's name. */
const BINARY = Object.freeze({
  Add: 'Add',
  Sub: 'Sub',
  Multiply: 'Mul',
  RealDiv: 'Div',
  Maximum: 'Max',
  Minimum: 'Min',
});

const binary =
  (operator: string): Recorder =>
  (recording, { a, b }) =>
    recording.tensor(
      recording.graph.node(operator, [recording.valueOf(a!), recording.valueOf(b!)]),
      broadcastShape(a!.shape, b!.shape),
    );

/** Each axis counted from the back is the larger of the two. */
function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  const sizeAt = (shape: readonly number[], axis: number) => shape[axis - rank + shape.length] ?? 1;
  return Array.from({ length: rank }, (_, axis) => Math.max(sizeAt(a, axis), sizeAt(b, axis)));
}

/** The same values in another shape, of which one axis may depend on the texts. */
function reshaped(recording: Recording, x: TensorInfo, shape: readonly number[]): TensorInfo {
  const open = shape.filter((size) => recording.trace.isOpen(size)).length;
  if (open > 1) throw cannotRecord('it shapes a tensor by the number of texts and their length');
  const sizes = shape.map((size) => (recording.trace.isOpen(size) ? -1 : size));
  return recording.tensor(recording.reshape(recording.valueOf(x), sizes), shape);
}

/** A shape with what −1 stands for. */
function inferred(shape: readonly number[], of: readonly number[]): number[] {
  const product = (sizes: readonly number[]) => sizes.reduce((all, size) => all * size, 1);
  return shape.map((size) => (size < 0 ? product(of) / Math.abs(product(shape)) : size));
}

/** Whether a matrix `[B, N]` has 1/T where a row belongs to a text, which makes the mean of each. */
function isMeanOfTexts(
  { sequences, length }: TraceBatch,
  shape: readonly number[],
  values: ArrayLike<number>,
): boolean {
  const rows = sequences * length;
  if (shape.length !== 2 || shape[0] !== sequences || shape[1] !== rows) return false;
  const share = Math.fround(1 / length);
  const isOwn = (at: number) => Math.floor((at % rows) / length) === Math.floor(at / rows);
  return Array.from(values).every((value, at) => value === (isOwn(at) ? share : 0));
}

/** By tfjs's name of the kernel. */
export const TENSOR_KERNELS: Readonly<Record<string, Recorder>> = Object.freeze({
  ...Object.fromEntries(Object.entries(BINARY).map(([name, operator]) => [name, binary(operator)])),
  Identity: (recording: Recording, { x }: Inputs) =>
    recording.tensor(recording.valueOf(x!), x!.shape),
  Tanh: (recording: Recording, { x }: Inputs) =>
    recording.tensor(recording.graph.node('Tanh', [recording.valueOf(x!)]), x!.shape),
  /** The one product that models make of tensors alone: the mean of each text. */
  BatchMatMul(recording: Recording, { a, b }: Inputs) {
    const values = recording.knownValues(a!.dataId);
    if (!values || !isMeanOfTexts(recording.trace, a!.shape, values))
      throw cannotRecord('it multiplies tensors outside of layers and attention');
    return recording.meanOf(b!);
  },
  Reshape: (recording: Recording, { x }: Inputs, { shape }: Attributes) =>
    reshaped(recording, x!, inferred(shape as number[], x!.shape)),
  Transpose(recording: Recording, { x }: Inputs, { perm }: Attributes) {
    const order = perm as number[];
    return recording.tensor(
      recording.transpose(recording.valueOf(x!), order),
      order.map((axis) => x!.shape[axis]!),
    );
  },
  Concat(recording: Recording, inputs: Inputs, { axis }: Attributes) {
    const parts = Object.values(inputs);
    const along = axis as number;
    const shape = [...parts[0]!.shape];
    shape[along] = parts.reduce((sum, part) => sum + part.shape[along]!, 0);
    const values = parts.map((part) => recording.valueOf(part));
    return recording.tensor(recording.graph.node('Concat', values, { axis: along }), shape);
  },
  SplitV(recording: Recording, { x }: Inputs, { numOrSizeSplits, axis }: Attributes) {
    const along = (axis as number) < 0 ? x!.shape.length + (axis as number) : (axis as number);
    const whole = x!.shape[along]!;
    const sizes = Array.isArray(numOrSizeSplits)
      ? (numOrSizeSplits as number[])
      : Array.from(
          { length: numOrSizeSplits as number },
          () => whole / (numOrSizeSplits as number),
        );
    if (recording.trace.isOpen(whole)) throw cannotRecord('it splits a tensor between texts');
    const { graph } = recording;
    return graph
      .nodes('Split', [recording.valueOf(x!), graph.integers(sizes)], sizes.length, { axis: along })
      .map((part, i) =>
        recording.tensor(
          part,
          x!.shape.map((size, at) => (at === along ? sizes[i]! : size)),
        ),
      );
  },
});
