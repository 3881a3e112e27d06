/** tfjs's kernels that put values in other places: strided copies of one tensor, and joins of several. */
import { slice_util, type TensorInfo } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { register } from '../../backend/register.js';
import { sizeOf, type WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { joined, MOST_AXES, stridesOf, walkCounts, walkNames, walkText } from './strided.js';

const VIEWS = new Map<number, KernelSource>();

/**
 * y[i₀, i₁, …] = x[start + Σ iₐ·stepsₐ].
 * @param shape that of y, where it is not `sizes`.
 */
export function view(
  backend: WebgpuBackend,
  x: TensorInfo,
  {
    sizes,
    steps,
    start = 0,
    shape = sizes,
  }: {
    readonly sizes: readonly number[];
    readonly steps: readonly number[];
    readonly start?: number;
    readonly shape?: readonly number[];
  },
): TensorInfo {
  const size = sizeOf(sizes);
  const walk = joined({ sizes, strides: [steps] });
  const isWhole =
    start === 0 &&
    size === sizeOf(x.shape) &&
    (walk.sizes.length === 0 || (walk.sizes.length === 1 && walk.strides[0]![0] === 1));
  if (isWhole) return backend.reshaped(x, shape);
  const y = backend.make(shape, x.dtype);
  const axes = walk.sizes.length;
  if (axes > MOST_AXES)
    throw new PeftError(
      'PEFT_WEBGPU_SHAPE',
      `webgpu: a copy of [${x.shape.join(', ')}] walks over ${axes} axes, and ${MOST_AXES} is the most.`,
    );
  let source = VIEWS.get(axes);
  if (!source) {
    source = {
      name: `view of ${axes} axes`,
      inputs: ['x: u32'],
      outputs: ['y: u32'],
      counts: ['size', 'start', ...walkNames(axes, [0])],
      body: `
  if (index >= size) { return; }
  ${walkText(axes, [0])}
  y[index] = x[start + at0];`,
    };
    VIEWS.set(axes, source);
  }
  backend.runOver(
    size,
    source,
    [backend.block(x), backend.block(y)],
    [size, start, ...walkCounts(walk)],
  );
  return y;
}

const PLACE: KernelSource = {
  name: 'place columns',
  inputs: ['x: u32'],
  outputs: ['y: u32'],
  counts: ['size', 'width', 'total', 'column'],
  body: `
  if (index >= size) { return; }
  y[(index / width) * total + column + index % width] = x[index];`,
};

/** Tensors behind each other along an axis. */
export function concat(
  backend: WebgpuBackend,
  tensors: readonly TensorInfo[],
  axis: number,
): TensorInfo {
  const filled = tensors.filter(({ shape }) => sizeOf(shape) > 0);
  const first = filled[0] ?? tensors[0]!;
  const shape = [...first.shape];
  shape[axis] = tensors.reduce((sum, each) => sum + (each.shape[axis] ?? 0), 0);
  if (filled.length === 1) return backend.reshaped(first, shape);
  const y = backend.make(shape, first.dtype);
  const total = sizeOf(shape.slice(axis));
  let column = 0;
  for (const x of filled) {
    const width = sizeOf(x.shape.slice(axis));
    const size = sizeOf(x.shape);
    backend.runOver(
      size,
      PLACE,
      [backend.block(x), backend.block(y)],
      [size, width, total, column],
    );
    column += width;
  }
  return y;
}

export function transpose(
  backend: WebgpuBackend,
  x: TensorInfo,
  order: readonly number[],
): TensorInfo {
  const strides = stridesOf(x.shape);
  return view(backend, x, {
    sizes: order.map((axis) => x.shape[axis]!),
    steps: order.map((axis) => strides[axis]!),
  });
}

/** Elements `begin` … `begin + size − 1` along each axis. */
export function slice(
  backend: WebgpuBackend,
  x: TensorInfo,
  begin: readonly number[],
  size: readonly number[],
): TensorInfo {
  const strides = stridesOf(x.shape);
  const start = begin.reduce((sum, at, axis) => sum + at * strides[axis]!, 0);
  return view(backend, x, { sizes: size, steps: strides, start });
}

export function registerViews(): void {
  register<{ shape: number[] }>('Reshape', ({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    const size = sizeOf(x.shape);
    const known = attributes.shape.reduce(
      (product, each) => (each === -1 ? product : product * each),
      1,
    );
    return backend.reshaped(
      x,
      attributes.shape.map((each) => (each === -1 ? size / known : each)),
    );
  });
  register<{ dim: number }>('ExpandDims', ({ inputs, attributes: { dim }, backend }) => {
    const { input } = inputs as Record<'input', TensorInfo>;
    const at = dim < 0 ? input.shape.length + dim + 1 : dim;
    return backend.reshaped(input, input.shape.toSpliced(at, 0, 1));
  });
  register('Identity', ({ inputs: { x }, backend }) => backend.reshaped(x!, x!.shape));
  register<{ perm: number[] }>('Transpose', ({ inputs, attributes, backend }) =>
    transpose(backend, inputs['x']!, attributes.perm),
  );
  register<{ begin: number | number[]; size: number | number[] }>(
    'Slice',
    ({ inputs, attributes, backend }) => {
      const x = inputs['x']!;
      // tfjs's own parsing, which its types give for tensors
      const [begin, size] = slice_util.parseSliceParams(
        x as never,
        attributes.begin,
        attributes.size as number,
      );
      return slice(backend, x, begin!, size!);
    },
  );
  register<{ axis: number }>('Concat', ({ inputs, attributes: { axis }, backend }) => {
    const tensors = Object.values(inputs);
    const rank = tensors[0]!.shape.length;
    return concat(backend, tensors, axis < 0 ? axis + rank : axis);
  });
  register<{ axis: number }>('Pack', ({ inputs, attributes: { axis }, backend }) => {
    const tensors = Object.values(inputs);
    const at = axis < 0 ? axis + tensors[0]!.shape.length + 1 : axis;
    const expanded = tensors.map((x) => ({ ...x, shape: x.shape.toSpliced(at, 0, 1) }));
    return concat(backend, expanded, at);
  });
  register<{ axis: number }>('Unpack', ({ inputs, attributes, backend }) => {
    const { value } = inputs as Record<'value', TensorInfo>;
    const axis = attributes.axis < 0 ? attributes.axis + value.shape.length : attributes.axis;
    return Array.from({ length: value.shape[axis]! }, (_, at) => {
      const part = partOf(backend, value, axis, at, 1);
      return { ...part, shape: value.shape.toSpliced(axis, 1) };
    });
  });
  register<{ numOrSizeSplits: number | number[]; axis: number }>(
    'SplitV',
    ({ inputs, attributes, backend }) => {
      const x = inputs['x']!;
      const axis = attributes.axis < 0 ? attributes.axis + x.shape.length : attributes.axis;
      const { numOrSizeSplits: asked } = attributes;
      const length = x.shape[axis]!;
      const sizes =
        typeof asked === 'number' ? new Array<number>(asked).fill(length / asked) : [...asked];
      const open = sizes.indexOf(-1);
      if (open >= 0) sizes[open] = length - sizes.reduce((sum, size) => sum + size, 1);
      let at = 0;
      return sizes.map((size) => {
        at += size;
        return partOf(backend, x, axis, at - size, size);
      });
    },
  );
  register<{ reps: number[] }>('Tile', ({ inputs, attributes: { reps }, backend }) => {
    const x = inputs['x']!;
    const strides = stridesOf(x.shape);
    return view(backend, x, {
      sizes: x.shape.flatMap((size, axis) => [reps[axis]!, size]),
      steps: strides.flatMap((step) => [0, step]),
      shape: x.shape.map((size, axis) => size * reps[axis]!),
    });
  });
  register<{ dims: number | number[] }>('Reverse', ({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    const turned = [attributes.dims]
      .flat()
      .map((axis) => (axis < 0 ? axis + x.shape.length : axis));
    const strides = stridesOf(x.shape);
    return view(backend, x, {
      sizes: x.shape,
      steps: strides.map((step, axis) => (turned.includes(axis) ? -step : step)),
      start: turned.reduce((sum, axis) => sum + (x.shape[axis]! - 1) * strides[axis]!, 0),
    });
  });
  register<{
    begin: number[];
    end: number[];
    strides: number[];
    beginMask: number;
    endMask: number;
    ellipsisMask: number;
    newAxisMask: number;
    shrinkAxisMask: number;
  }>('StridedSlice', ({ inputs, attributes: asked, backend }) => {
    const x = inputs['x']!;
    const { finalShape, begin, end, strides } = slice_util.sliceInfo(
      x.shape,
      asked.begin,
      asked.end,
      asked.strides,
      asked.beginMask,
      asked.endMask,
      asked.ellipsisMask,
      asked.newAxisMask,
      asked.shrinkAxisMask,
    );
    const own = stridesOf(x.shape);
    return view(backend, x, {
      sizes: slice_util.computeOutShape(begin, end, strides),
      steps: own.map((step, axis) => step * strides[axis]!),
      start: begin.reduce((sum, at, axis) => sum + at * own[axis]!, 0),
      shape: finalShape,
    });
  });
}

function partOf(
  backend: WebgpuBackend,
  x: TensorInfo,
  axis: number,
  at: number,
  size: number,
): TensorInfo {
  return slice(
    backend,
    x,
    x.shape.map((_, each) => (each === axis ? at : 0)),
    x.shape.map((length, each) => (each === axis ? size : length)),
  );
}
