/** One formula over tensors element by element, the smaller ones broadcast. */
import { backend_util, type DataType, type TensorInfo } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { wgslType } from '../../backend/register.js';
import { sizeOf, type WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { joined, MOST_AXES, stridesOf, walkCounts, walkNames, walkText } from './strided.js';

/** y = formula(x0, x1, …). */
export interface Formula {
  readonly name: string;
  /** WGSL of `x0`, `x1` …, and of the numbers. */
  readonly text: string;
  readonly declarations?: string;
  readonly numbers?: Readonly<Record<string, number>>;
  readonly dtype: DataType;
}

const FLOAT_BITS = new Float32Array(1);
const WORD = new Uint32Array(FLOAT_BITS.buffer);

function bitsOf(value: number, type: 'f32' | 'i32'): number {
  if (type === 'i32') return value >>> 0;
  FLOAT_BITS[0] = value;
  return WORD[0]!;
}

type Layout = 'same' | 'number' | 'strided';

/** The formula's result, of the operands' common shape. */
export function elementwise(
  backend: WebgpuBackend,
  formula: Formula,
  operands: readonly TensorInfo[],
): TensorInfo {
  const shape = operands
    .map((operand) => operand.shape)
    .reduce((a, b) => backend_util.assertAndGetBroadcastShape(a, b));
  const y = backend.make(shape, formula.dtype);
  const size = sizeOf(shape);
  if (size === 0) return y;
  const numbers = operands.map((operand) => backend.number(operand));
  const layouts = operands.map((operand, n): Layout => {
    if (numbers[n] !== undefined) return 'number';
    return sizeOf(operand.shape) === size ? 'same' : 'strided';
  });
  const strided = layouts.flatMap((layout, n) => (layout === 'strided' ? [n] : []));
  const walk = joined({
    sizes: shape,
    strides: strided.map((n) => broadcastStrides(operands[n]!.shape, shape)),
  });
  const axes = strided.length > 0 ? walk.sizes.length : 0;
  if (axes > MOST_AXES)
    throw new PeftError(
      'PEFT_WEBGPU_SHAPE',
      `webgpu: ${formula.name} of ${operands.map((x) => `[${x.shape.join(', ')}]`).join(' and ')} ` +
        `walks over ${axes} axes, and ${MOST_AXES} is the most.`,
      { hint: 'reshape the tensors so that neighbouring axes are one' },
    );
  const types = operands.map(wgslType);
  backend.runOver(
    size,
    sourceOf(formula, layouts, types, axes, strided),
    [
      ...operands.filter((_, n) => layouts[n] !== 'number').map((x) => backend.block(x)),
      backend.block(y),
    ],
    [
      size,
      ...(axes > 0 ? walkCounts(walk) : []),
      ...operands.flatMap((_, n) =>
        layouts[n] === 'number' ? [bitsOf(numbers[n]!, types[n]!)] : [],
      ),
    ],
    Object.values(formula.numbers ?? {}),
  );
  return y;
}

const SOURCES = new Map<string, KernelSource>();

function sourceOf(
  formula: Formula,
  layouts: readonly Layout[],
  types: readonly ('f32' | 'i32')[],
  axes: number,
  strided: readonly number[],
): KernelSource {
  const out = formula.dtype === 'float32' ? 'f32' : 'i32';
  const name = [
    formula.name,
    ...layouts.map((layout, n) => `${layout} ${types[n]}`),
    out,
    axes,
  ].join();
  const known = SOURCES.get(name);
  if (known) return known;
  const value = (layout: Layout, n: number) => {
    if (layout === 'number') return `bitcast<${types[n]}>(bits${n})`;
    return layout === 'same' ? `operand${n}[index]` : `operand${n}[at${n}]`;
  };
  const source: KernelSource = {
    name,
    inputs: layouts.flatMap((layout, n) =>
      layout === 'number' ? [] : [`operand${n}: ${types[n]}`],
    ),
    outputs: [`y: ${out}`],
    counts: [
      'size',
      ...walkNames(axes, axes > 0 ? strided : []),
      ...layouts.flatMap((layout, n) => (layout === 'number' ? [`bits${n}`] : [])),
    ],
    numbers: Object.keys(formula.numbers ?? {}),
    declarations: formula.declarations,
    body: `
  if (index >= size) { return; }
  ${axes > 0 ? walkText(axes, strided) : strided.map((n) => `let at${n} = 0u;`).join('\n  ')}
  ${layouts.map((layout, n) => `let x${n} = ${value(layout, n)};`).join('\n  ')}
  y[index] = ${formula.text};`,
  };
  SOURCES.set(name, source);
  return source;
}

/** Strides of a tensor along the axes of what it is broadcast to. */
export function broadcastStrides(shape: readonly number[], wide: readonly number[]): number[] {
  const own = stridesOf(shape);
  const front = wide.length - shape.length;
  return wide.map((_, axis) => {
    const at = axis - front;
    return at < 0 || shape[at] === 1 ? 0 : own[at]!;
  });
}
