/** tfjs's reductions and softmax. A row's result depends on its own values and their number alone. */
import type { DataType, TensorInfo } from '@tensorflow/tfjs';
import { register, requireFloat, wgslType } from '../../backend/register.js';
import { EXP } from '../../backend/functions.js';
import { sizeOf, type WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { transpose } from './views.js';

/** Threads that share a row. */
const SHARED = 64;

interface Reduction {
  /** By WGSL type: the value of no elements. */
  readonly start: Readonly<Record<'f32' | 'i32', string>>;
  /** `a` and `b` become one. */
  readonly join: string;
  readonly end?: string;
  readonly dtype?: DataType;
}

const LOWEST = { f32: '-3.4028234e38', i32: '-2147483647 - 1' };
const HIGHEST = { f32: '3.4028234e38', i32: '2147483647' };
const ZERO = { f32: '0.0', i32: '0' };
const ONE = { f32: '1.0', i32: '1' };
const REDUCTIONS: Readonly<Record<string, Reduction>> = {
  Sum: { start: ZERO, join: 'a + b' },
  Mean: { start: ZERO, join: 'a + b', end: 'sum / f32(width)' },
  Prod: { start: ONE, join: 'a * b' },
  Max: { start: LOWEST, join: 'max(a, b)' },
  Min: { start: HIGHEST, join: 'min(a, b)' },
  Any: { start: ZERO, join: 'max(a, b)', dtype: 'bool' },
  All: { start: ONE, join: 'min(a, b)', dtype: 'bool' },
};

const SOURCES = new Map<string, KernelSource>();

/** Each of 64 threads takes every 64th element, and the 64 results are joined in a tree. */
function rowSource(
  kind: string,
  { start, join, end = 'sum' }: Reduction,
  type: 'f32' | 'i32',
): KernelSource {
  const name = `${kind} of rows ${type}`;
  const known = SOURCES.get(name);
  if (known) return known;
  const source: KernelSource = {
    name,
    inputs: [`x: ${type}`],
    outputs: [`y: ${type}`],
    counts: ['rows', 'width'],
    threads: SHARED,
    declarations: `
var<workgroup> parts: array<${type}, ${SHARED}>;
fn join(a: ${type}, b: ${type}) -> ${type} { return ${join}; }`,
    body: `
  let row = group.y * groups.x + group.x;
  var own: ${type} = ${start[type]};
  if (row < rows) {
    for (var column = local; column < width; column += ${SHARED}u) { own = join(own, x[row * width + column]); }
  }
  parts[local] = own;
  for (var half = ${SHARED / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { parts[local] = join(parts[local], parts[local + half]); }
  }
  if (local == 0u && row < rows) { let sum = parts[0]; y[row] = ${end}; }`,
  };
  SOURCES.set(name, source);
  return source;
}

/** Sum over the rows of `[rows, width]`: 16 threads a column, each every 16th row, joined in order. */
const SUM_ROWS: KernelSource = {
  name: 'sum over rows',
  inputs: ['x'],
  outputs: ['y'],
  counts: ['rows', 'width'],
  declarations: 'var<workgroup> parts: array<f32, 256>;',
  body: `
  let column = (group.y * groups.x + group.x) * 16u + local % 16u;
  var sum = 0.0;
  if (column < width) {
    for (var row = local / 16u; row < rows; row += 16u) { sum += x[row * width + column]; }
  }
  parts[local] = sum;
  workgroupBarrier();
  if (local < 16u && column < width) {
    var all = 0.0;
    for (var n = 0u; n < 16u; n++) { all += parts[n * 16u + local]; }
    y[column] = all;
  }`,
};

/** Σ_n x[n] of x `[rows, width]`. */
export function sumOverRows(
  backend: WebgpuBackend,
  x: TensorInfo,
  rows: number,
  width: number,
  shape: readonly number[] = [width],
): TensorInfo {
  const y = backend.make(shape);
  backend.runGroups(
    Math.ceil(width / 16),
    SUM_ROWS,
    [backend.block(x), backend.block(y)],
    [rows, width],
  );
  return y;
}

const ARG_SOURCES: Readonly<Record<'ArgMax' | 'ArgMin', KernelSource>> = {
  ArgMax: argSource('ArgMax', '>'),
  ArgMin: argSource('ArgMin', '<'),
};

/** The first of equal ones. */
function argSource(name: string, better: string): KernelSource {
  return {
    name,
    inputs: ['x'],
    outputs: ['y: i32'],
    counts: ['rows', 'width'],
    threads: SHARED,
    declarations: `
var<workgroup> values: array<f32, ${SHARED}>;
var<workgroup> places: array<u32, ${SHARED}>;`,
    body: `
  let row = group.y * groups.x + group.x;
  if (row < rows && local < width) {
    values[local] = x[row * width + local];
    places[local] = local;
    for (var column = local + ${SHARED}u; column < width; column += ${SHARED}u) {
      let value = x[row * width + column];
      if (value ${better} values[local]) { values[local] = value; places[local] = column; }
    }
  }
  for (var half = ${SHARED / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    let other = local + half;
    if (local < half && other < width) {
      let isEarlier = values[other] == values[local] && places[other] < places[local];
      if (values[other] ${better} values[local] || isEarlier) { values[local] = values[other]; places[local] = places[other]; }
    }
  }
  if (local == 0u && row < rows) { y[row] = i32(places[0]); }`,
  };
}

function softmaxSource(isLog: boolean): KernelSource {
  const tree = (join: string) => `
  for (var half = ${SHARED / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { let a = parts[local]; let b = parts[local + half]; parts[local] = ${join}; }
  }
  workgroupBarrier();`;
  return {
    name: isLog ? 'LogSoftmax' : 'Softmax',
    inputs: ['x'],
    outputs: ['y'],
    counts: ['rows', 'width'],
    threads: SHARED,
    declarations: `var<workgroup> parts: array<f32, ${SHARED}>;${EXP}`,
    body: `
  let row = group.y * groups.x + group.x;
  let first = row * width;
  let end = select(0u, width, row < rows);
  var largest = ${LOWEST.f32};
  for (var column = local; column < end; column += ${SHARED}u) { largest = max(largest, x[first + column]); }
  parts[local] = largest;
  ${tree('max(a, b)')}
  largest = parts[0];
  workgroupBarrier();
  var sum = 0.0;
  for (var column = local; column < end; column += ${SHARED}u) { sum += exp_of(x[first + column] - largest); }
  parts[local] = sum;
  ${tree('a + b')}
  sum = parts[0];
  for (var column = local; column < end; column += ${SHARED}u) {
    y[first + column] = ${isLog ? 'x[first + column] - largest - log(sum)' : 'exp_of(x[first + column] - largest) / sum'};
  }`,
  };
}

const SOFTMAX = softmaxSource(false);
const LOG_SOFTMAX = softmaxSource(true);

const axesOf = (asked: number | number[] | undefined, rank: number): number[] =>
  (asked === undefined ? Array.from({ length: rank }, (_, axis) => axis) : [asked].flat()).map(
    (axis) => (axis < 0 ? axis + rank : axis),
  );

/** The tensor with the axes last, and whether it is another one than was given. */
function withAxesLast(
  backend: WebgpuBackend,
  x: TensorInfo,
  axes: readonly number[],
): { readonly moved: TensorInfo; readonly kept: number[] } {
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  return { moved: transpose(backend, x, [...kept, ...[...axes].sort((a, b) => a - b)]), kept };
}

export function registerReductions(): void {
  for (const [name, reduction] of Object.entries(REDUCTIONS))
    register<{
      axis?: number | number[];
      reductionIndices?: number | number[];
      keepDims?: boolean;
    }>(name, ({ inputs, attributes, backend }) => {
      const x = inputs['x']!;
      if (name === 'Mean') requireFloat(name, x);
      const axes = axesOf(attributes.axis ?? attributes.reductionIndices, x.shape.length);
      const dtype = reduction.dtype ?? (x.dtype === 'bool' ? 'int32' : x.dtype);
      const shape = x.shape.flatMap((size, axis) => {
        if (!axes.includes(axis)) return [size];
        return attributes.keepDims ? [1] : [];
      });
      const rows = sizeOf(shape);
      const width = axes.reduce((product, axis) => product * x.shape[axis]!, 1);
      const isHead = axes.length > 0 && axes.every((axis) => axis < axes.length);
      if (name === 'Sum' && isHead && axes.length < x.shape.length && dtype === 'float32')
        return sumOverRows(backend, x, width, rows, shape);
      const { moved } = withAxesLast(backend, x, axes);
      const y = backend.make(shape, dtype);
      backend.runGroups(
        rows,
        rowSource(name, reduction, wgslType(x)),
        [backend.block(moved), backend.block(y)],
        [rows, width],
      );
      backend.disposeData(moved.dataId);
      return y;
    });
  for (const name of ['ArgMax', 'ArgMin'] as const)
    register<{ axis: number }>(name, ({ inputs, attributes, backend }) => {
      const x = inputs['x']!;
      requireFloat(name, x);
      const axes = axesOf(attributes.axis, x.shape.length);
      const { moved, kept } = withAxesLast(backend, x, axes);
      const y = backend.make(
        kept.map((axis) => x.shape[axis]!),
        'int32',
      );
      const rows = sizeOf(y.shape);
      backend.runGroups(
        rows,
        ARG_SOURCES[name],
        [backend.block(moved), backend.block(y)],
        [rows, axes.reduce((product, axis) => product * x.shape[axis]!, 1)],
      );
      backend.disposeData(moved.dataId);
      return y;
    });
  for (const source of [SOFTMAX, LOG_SOFTMAX])
    register<{ dim?: number; axis?: number }>(source.name, ({ inputs, attributes, backend }) => {
      const { logits } = inputs as Record<'logits', TensorInfo>;
      requireFloat(source.name, logits);
      const rank = logits.shape.length;
      const [axis] = axesOf(attributes.dim ?? attributes.axis ?? -1, rank);
      const { moved, kept } = withAxesLast(backend, logits, [axis!]);
      const y = backend.make(moved.shape);
      const width = logits.shape[axis!]!;
      const rows = width === 0 ? 0 : sizeOf(logits.shape) / width;
      backend.runGroups(rows, source, [backend.block(moved), backend.block(y)], [rows, width]);
      backend.disposeData(moved.dataId);
      if (axis === rank - 1) return y;
      const order = [...kept, axis!];
      const back = transpose(
        backend,
        y,
        order.map((_, at) => order.indexOf(at)),
      );
      backend.disposeData(y.dataId);
      return back;
    });
}
