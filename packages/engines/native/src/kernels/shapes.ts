/** tfjs's reductions, softmax, transposes, slices, joins and casts of float32 tensors. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { REDUCTION } from '../binding/elementwise.js';
import { isFloat } from '../native-backend.js';
import { override, sizeOf } from './register.js';

/** Registers transposition, reductions, copies and casts. */
export function registerShapes(): void {
  for (const [name, operation] of [
    ['Sum', REDUCTION.sum],
    ['Mean', REDUCTION.mean],
    ['Max', REDUCTION.maximum],
  ] as const) {
    override<Record<string, unknown>>(name, ({ inputs, attributes, backend }) => {
      const x = inputs['x']!;
      const rank = x.shape.length;
      if (!isFloat(x) || rank === 0 || sizeOf(x.shape) === 0) return undefined;
      const asked = (attributes['axis'] ?? attributes['reductionIndices']) as
        number | number[] | undefined;
      const axes = (asked === undefined ? x.shape.map((_, i) => i) : [asked].flat())
        .map((axis) => (axis < 0 ? axis + rank : axis))
        .sort((p, q) => p - q);
      if (axes.length === 0) return undefined;
      const reduced = attributes['keepDims'] ? [1] : [];
      const shape = x.shape.flatMap((size, axis) => (axes.includes(axis) ? reduced : size));
      const isTail = axes.every((axis, i) => axis === rank - axes.length + i);
      const isHead = axes.every((axis, i) => axis === i);
      if (isTail) {
        const y = backend.create(shape);
        backend.binding.reduceColumns(
          operation,
          backend.values(x),
          y.values,
          sizeOf(shape),
          sizeOf(x.shape) / sizeOf(shape),
        );
        return y.info;
      }
      if (isHead && operation === REDUCTION.sum) {
        const y = backend.create(shape);
        backend.binding.sumRows(
          backend.values(x),
          y.values,
          sizeOf(x.shape) / sizeOf(shape),
          sizeOf(shape),
        );
        return y.info;
      }
      return undefined;
    });
  }
  override<{ dim: number }>('Softmax', ({ inputs, attributes, backend }) => {
    const x = inputs['logits']!;
    const axis = attributes.dim ?? -1;
    if (!isFloat(x) || (axis !== -1 && axis !== x.shape.length - 1)) return undefined;
    const y = backend.create(x.shape);
    const columns = x.shape.at(-1) ?? 1;
    backend.binding.softmax(
      backend.values(x),
      y.values,
      columns ? y.values.length / columns : 0,
      columns,
      false,
    );
    return y.info;
  });
  override<{ perm: number[] }>('Transpose', ({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    if (!isFloat(x)) return undefined;
    return transpose(x, attributes.perm, backend);
  });
  override<{ begin: number | number[]; size: number | number[] }>(
    'Slice',
    ({ inputs, attributes, backend }) => {
      const x = inputs['x']!;
      const rank = x.shape.length;
      if (!isFloat(x) || rank === 0) return undefined;
      const [askedBegin, askedSize] = [[attributes.begin].flat(), [attributes.size].flat()];
      const begin = x.shape.map((_, axis) => askedBegin[axis] ?? 0);
      const size = x.shape.map((length, axis) =>
        askedSize[axis] === undefined || askedSize[axis] === -1
          ? length - begin[axis]!
          : askedSize[axis],
      );
      if (
        x.shape.some(
          (length, axis) =>
            begin[axis]! < 0 || size[axis]! < 0 || begin[axis]! + size[axis]! > length,
        )
      )
        return undefined; // the inherited kernel words the error
      const inner = x.shape.findLastIndex((length, axis) => size[axis] !== length);
      if (x.shape.some((length, axis) => size[axis] !== length && axis < inner - 1))
        return undefined;
      return slice(x, begin, size, inner, backend);
    },
  );
  override<{ axis: number }>('Concat', ({ inputs, attributes, backend }) => {
    const parts = Object.values(inputs);
    if (parts.some((part) => !isFloat(part)) || parts.length === 0) return undefined;
    const axis = attributes.axis < 0 ? attributes.axis + parts[0]!.shape.length : attributes.axis;
    const shape = parts[0]!.shape.map((size, i) =>
      i === axis ? parts.reduce((sum, part) => sum + part.shape[i]!, 0) : size,
    );
    const y = backend.create(shape);
    const rows = sizeOf(shape.slice(0, axis));
    const stride = sizeOf(shape.slice(axis));
    let offset = 0;
    for (const part of parts) {
      const columns = sizeOf(part.shape.slice(axis));
      if (columns > 0 && rows > 0)
        backend.binding.copyRows(
          backend.values(part),
          0,
          columns,
          y.values,
          offset,
          stride,
          rows,
          columns,
        );
      offset += columns;
    }
    return y.info;
  });
}

type Backend = Parameters<Parameters<typeof override>[1]>[0]['backend'];

function transpose(
  x: TensorInfo,
  perm: readonly number[],
  backend: Backend,
): TensorInfo | undefined {
  const shape = perm.map((axis) => x.shape[axis]!);
  const rank = perm.length;
  if (
    rank >= 2 &&
    perm.slice(0, -2).every((axis, i) => axis === i) &&
    perm[rank - 2] === rank - 1 &&
    perm[rank - 1] === rank - 2
  ) {
    const y = backend.create(shape);
    backend.binding.transpose(
      backend.values(x),
      y.values,
      sizeOf(shape.slice(0, -2)),
      x.shape[rank - 2]!,
      x.shape[rank - 1]!,
    );
    return y.info;
  }
  const outer = { '0,2,1,3': [], '1,0,2': [1] }[perm.join()];
  const [a, b, c, d] = outer ? [...outer, ...x.shape] : [];
  if (a === undefined) return undefined;
  const y = backend.create(shape);
  backend.binding.transpose0213(backend.values(x), y.values, a, b!, c!, d!);
  return y.info;
}

/** A slice that cuts at most axis `inner` and the one before it. */
function slice(
  x: TensorInfo,
  begin: readonly number[],
  size: readonly number[],
  inner: number,
  backend: Backend,
): TensorInfo | undefined {
  const y = backend.create(size);
  if (y.values.length === 0) return y.info;
  const axis = Math.max(inner, 0);
  const below = sizeOf(x.shape.slice(axis + 1));
  const stride = x.shape[axis]! * below;
  const columns = size[axis]! * below;
  const outerAxis = axis - 1;
  const rowsBefore = outerAxis >= 0 ? begin[outerAxis]! : 0;
  const rowsPer = outerAxis >= 0 ? size[outerAxis]! : 1;
  const rowsOf = outerAxis >= 0 ? x.shape[outerAxis]! : 1;
  const groups = outerAxis > 0 ? sizeOf(x.shape.slice(0, outerAxis)) : 1;
  const values = backend.values(x);
  for (let group = 0; group < groups; group += 1) {
    backend.binding.copyRows(
      values,
      (group * rowsOf + rowsBefore) * stride + begin[axis]! * below,
      stride,
      y.values,
      group * rowsPer * columns,
      columns,
      rowsPer,
      columns,
    );
  }
  return y.info;
}
