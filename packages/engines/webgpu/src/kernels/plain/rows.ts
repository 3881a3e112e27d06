/** Rows by index, and tensors made of nothing: tfjs's gathers, scatters, fills and running sums. */
import type { DataType, TensorInfo } from '@tensorflow/tfjs';
import * as tf from '@tensorflow/tfjs';
import { register, requireFloat } from '../../backend/register.js';
import { sizeOf, type WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { Block } from '../../gpu/buffer-pool.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { transpose } from './views.js';

/** y[outer, n, inner] = x[outer, rows[b, n], inner], b the batch of outer; 0 for a row outside. */
const GATHER: KernelSource = {
  name: 'gather',
  inputs: ['x: u32', 'rows: i32'],
  outputs: ['y: u32'],
  counts: ['size', 'wanted', 'inner', 'there', 'perBatch', 'perBatchRows'],
  body: `
  if (index >= size) { return; }
  let outer = index / (wanted * inner);
  let n = (index / inner) % wanted;
  let row = rows[(outer / perBatch) * perBatchRows + n];
  var value = 0u;
  if (row >= 0 && u32(row) < there) { value = x[(outer * there + u32(row)) * inner + index % inner]; }
  y[index] = value;`,
};

/** y[rows[n]] += x[n]: a thread for each column adds in the order of n. */
const SCATTER_ADD: KernelSource = {
  name: 'scatter add',
  inputs: ['x', 'rows: i32'],
  outputs: ['y'],
  counts: ['width', 'given', 'size'],
  threads: 64,
  body: `
  if (index >= width) { return; }
  for (var n = 0u; n < given; n++) {
    let row = rows[n];
    if (row >= 0 && u32(row) < size) { y[u32(row) * width + index] += x[n * width + index]; }
  }`,
};

const FILL: KernelSource = {
  name: 'fill',
  inputs: [],
  outputs: ['y: u32'],
  counts: ['size', 'bits'],
  body: `
  if (index < size) { y[index] = bits; }`,
};

const ONE_HOT: KernelSource = {
  name: 'one hot',
  inputs: ['rows: i32'],
  outputs: ['y: u32'],
  counts: ['size', 'depth', 'on', 'off'],
  body: `
  if (index < size) { y[index] = select(off, on, rows[index / depth] == i32(index % depth)); }`,
};

const RUNNING_SUM: KernelSource = {
  name: 'running sum',
  inputs: ['x'],
  outputs: ['y'],
  counts: ['rows', 'width', 'exclusive', 'turned'],
  threads: 64,
  body: `
  if (index >= rows) { return; }
  var sum = 0.0;
  for (var n = 0u; n < width; n++) {
    let at = index * width + select(n, width - 1u - n, turned == 1u);
    let value = x[at];
    y[at] = select(sum + value, sum, exclusive == 1u);
    sum += value;
  }`,
};

const PAD: KernelSource = {
  name: 'pad',
  inputs: ['x: u32'],
  outputs: ['y: u32'],
  counts: [
    'size',
    'bits',
    ...['wide', 'front', 'own'].flatMap((kind) =>
      [0, 1, 2, 3, 4, 5].map((axis) => `${kind}${axis}`),
    ),
  ],
  body: `
  if (index >= size) { return; }
  var rest = index;
  var at = 0u;
  var step = 1u;
  var isInside = true;
  ${[5, 4, 3, 2, 1, 0]
    .map(
      (axis) => `
  { let place = rest % wide${axis}; rest /= wide${axis};
    isInside = isInside && place >= front${axis} && place < front${axis} + own${axis};
    at += (place - front${axis}) * step; step *= own${axis}; }`,
    )
    .join('')}
  var value = bits;
  if (isInside) { value = x[at]; }
  y[index] = value;`,
};

const WORDS = new Uint32Array(1);
const FLOATS = new Float32Array(WORDS.buffer);

function bitsOf(value: number, dtype: DataType): number {
  if (dtype !== 'float32') return value >>> 0;
  FLOATS[0] = value;
  return WORDS[0]!;
}

export function fill(
  backend: WebgpuBackend,
  shape: readonly number[],
  value: number,
  dtype: DataType = 'float32',
): TensorInfo {
  const y = backend.make(shape, dtype);
  const size = sizeOf(shape);
  backend.runOver(size, FILL, [backend.block(y)], [size, bitsOf(value, dtype)]);
  return y;
}

/** x[rows[n]] of x `[there, inner]`, `[count, inner]`. */
export function gatherRows(
  backend: WebgpuBackend,
  x: TensorInfo,
  rows: Block,
  count: number,
  [there, inner]: readonly [number, number],
): TensorInfo {
  const y = backend.make([count, inner], x.dtype);
  const size = count * inner;
  backend.runOver(
    size,
    GATHER,
    [backend.block(x), rows, backend.block(y)],
    [size, count, inner, there, 1, 0],
  );
  return y;
}

/** y[rows[n]] += x[n] of x `[given, width]` into `[size, width]` zeros. */
export function scatterAddRows(
  backend: WebgpuBackend,
  x: TensorInfo,
  rows: Block,
  [given, width]: readonly [number, number],
  shape: readonly number[],
): TensorInfo {
  const y = fill(backend, shape, 0);
  backend.runOver(
    width,
    SCATTER_ADD,
    [backend.block(x), rows, backend.block(y)],
    [width, given, width === 0 ? 0 : sizeOf(shape) / width],
  );
  return y;
}

export function registerRows(): void {
  register<{ axis: number; batchDims?: number }>('GatherV2', ({ inputs, attributes, backend }) => {
    const { x, indices } = inputs as Record<'x' | 'indices', TensorInfo>;
    const axis = attributes.axis < 0 ? attributes.axis + x.shape.length : attributes.axis;
    const batches = attributes.batchDims ?? 0;
    const wanted = indices.shape.slice(batches);
    const y = backend.make(
      [...x.shape.slice(0, axis), ...wanted, ...x.shape.slice(axis + 1)],
      x.dtype,
    );
    const size = sizeOf(y.shape);
    const perBatch = sizeOf(x.shape.slice(batches, axis));
    backend.runOver(
      size,
      GATHER,
      [backend.block(x), backend.block(indices), backend.block(y)],
      [
        size,
        sizeOf(wanted),
        sizeOf(x.shape.slice(axis + 1)),
        x.shape[axis]!,
        batches === 0 ? Math.max(1, sizeOf(x.shape.slice(0, axis))) : perBatch,
        sizeOf(wanted),
      ],
    );
    return y;
  });
  register<{ numSegments: number }>(
    'UnsortedSegmentSum',
    ({ inputs, attributes: { numSegments }, backend }) => {
      const { x, segmentIds } = inputs as Record<'x' | 'segmentIds', TensorInfo>;
      requireFloat('UnsortedSegmentSum', x);
      const given = sizeOf(segmentIds.shape);
      const inner = x.shape.slice(segmentIds.shape.length);
      return scatterAddRows(
        backend,
        x,
        backend.block(segmentIds),
        [given, sizeOf(inner)],
        [numSegments, ...inner],
      );
    },
  );
  register<{ shape: number[]; value: number | string; dtype?: DataType }>(
    'Fill',
    ({ attributes: { shape, value, dtype }, backend }) =>
      fill(backend, shape, Number(value), dtype ?? 'float32'),
  );
  for (const [name, value] of [
    ['ZerosLike', 0],
    ['OnesLike', 1],
  ] as const)
    register(name, ({ inputs, backend }) =>
      fill(backend, inputs['x']!.shape, value, inputs['x']!.dtype),
    );
  register<{ depth: number; onValue: number; offValue: number; dtype?: DataType }>(
    'OneHot',
    ({ inputs, attributes: { depth, onValue, offValue, dtype = 'int32' }, backend }) => {
      const { indices } = inputs as Record<'indices', TensorInfo>;
      const y = backend.make([...indices.shape, depth], dtype);
      const size = sizeOf(y.shape);
      backend.runOver(
        size,
        ONE_HOT,
        [backend.block(indices), backend.block(y)],
        [size, depth, bitsOf(onValue, dtype), bitsOf(offValue, dtype)],
      );
      return y;
    },
  );
  register<{ start: number; stop: number; step: number; dtype: 'float32' | 'int32' }>(
    'Range',
    ({ attributes: { start, stop, step, dtype }, backend }) => {
      const length = Math.max(0, Math.ceil((stop - start) / step));
      const values = Array.from({ length }, (_, n) => start + n * step);
      const typed = dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
      return { dataId: backend.write(typed, [length], dtype), shape: [length], dtype };
    },
  );
  register<{ axis: number; exclusive: boolean; reverse: boolean }>(
    'Cumsum',
    ({ inputs, attributes: { axis, exclusive, reverse }, backend }) => {
      const x = inputs['x']!;
      requireFloat('Cumsum', x);
      const at = axis < 0 ? axis + x.shape.length : axis;
      const order = [...x.shape.map((_, each) => each).filter((each) => each !== at), at];
      const moved = transpose(backend, x, order);
      const y = backend.make(moved.shape);
      const width = x.shape[at]!;
      const rows = width === 0 ? 0 : sizeOf(x.shape) / width;
      backend.runOver(
        rows,
        RUNNING_SUM,
        [backend.block(moved), backend.block(y)],
        [rows, width, Number(exclusive), Number(reverse)],
      );
      const back = transpose(
        backend,
        y,
        order.map((_, each) => order.indexOf(each)),
      );
      for (const { dataId } of [moved, y]) backend.disposeData(dataId);
      return back;
    },
  );
  register<{ paddings: [number, number][]; constantValue: number }>(
    'PadV2',
    ({ inputs, attributes: { paddings, constantValue }, backend }) => {
      const x = inputs['x']!;
      const shape = x.shape.map((size, axis) => size + paddings[axis]![0] + paddings[axis]![1]);
      const y = backend.make(shape, x.dtype);
      const size = sizeOf(shape);
      const six = (values: readonly number[], missing: number) => [
        ...new Array<number>(6 - values.length).fill(missing),
        ...values,
      ];
      backend.runOver(
        size,
        PAD,
        [backend.block(x), backend.block(y)],
        [
          size,
          bitsOf(constantValue, x.dtype),
          ...six(shape, 1),
          ...six(
            paddings.map(([front]) => front),
            0,
          ),
          ...six(x.shape, 1),
        ],
      );
      return y;
    },
  );
  registerUpdates();
}

/** Rows of a tensor by more than one index, joined to the kernels for one. */
function registerUpdates(): void {
  register<{ shape: number[] }>('ScatterNd', ({ inputs, attributes: { shape }, backend }) => {
    const { indices, updates } = inputs as Record<'indices' | 'updates', TensorInfo>;
    requireFloat('ScatterNd', updates);
    const depth = indices.shape.at(-1)!;
    const [places, inner] = [shape.slice(0, depth), shape.slice(depth)];
    const given = sizeOf(indices.shape) / depth;
    const flat = tf.tidy(() => {
      const strides = places.map((_, axis) => sizeOf(places.slice(axis + 1)));
      // an index of a tfjs tensor, in tfjs's own operations on this backend
      const wrapped = tf
        .engine()
        .makeTensorFromTensorInfo(backend.reshaped(indices, [given, depth]));
      return tf.sum(tf.mul(wrapped, tf.tensor1d(strides, 'int32')), 1);
    });
    const y = scatterAddRows(
      backend,
      updates,
      backend.block(flat),
      [given, sizeOf(inner)],
      [sizeOf(places), ...inner],
    );
    flat.dispose();
    return { ...y, shape };
  });
}
