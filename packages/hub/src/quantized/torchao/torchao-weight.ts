/**
 * The kinds of torchao's tensors whose parts are plain:
 *
 * - integers, a byte each, `[out, in]`, scales and zero points `[out, groups]` or one of each:
 *   w = (code − zero)·scale (Int8Tensor, IntxUnpackedToInt8Tensor)
 * - integers of four bits, two a byte and the first one in the low half, `[out, in/2]`, scales and zero
 *   points `[groups, out]` of floats: w = code·scale + zero (Int4Tensor)
 * - 8-bit floats with scales of rows, blocks or the whole: w = code·scale (Float8Tensor)
 */
import type { TensorSource } from '@peft/ops';
import { decodedSource } from '../decoded-source.js';
import { isFloat8, scaledFloats } from '../fp8/scaled-floats.js';
import { decodedDtype, groupedWeight } from '../integer/grouped-codes.js';
import { middleOf, unsigned } from '../integer/signed-codes.js';
import { finiteValues, shapedPart, sizeOf, typedPart } from '../parts.js';
import { partsError } from '../parts-error.js';
import type { QuantizedWeight, StoredTensors } from '../quantized-form.js';

const SCALE_TYPES = ['F32', 'F16', 'BF16'] as const;
/** Parts of tensors that are not read. */
const UNREAD = ['scale_and_zero', 'per_tensor_scale', 'act_pre_scale'] as const;

/**
 * @param bits of integers with integer zero points
 * @throws PEFT_QUANTIZED_PARTS
 */
export function torchaoWeight(
  tensors: StoredTensors,
  name: string,
  bits: number,
): QuantizedWeight | undefined {
  const dot = name.lastIndexOf('.');
  const prefix = `${name.slice(0, dot)}._${name.slice(dot + 1)}`;
  if (!tensors.get(`${prefix}_qdata`) && !tensors.get(`${prefix}_scale`)) return undefined;
  const codes = typedPart(tensors, `${prefix}_qdata`, ['I8', 'U8', 'F8_E4M3', 'F8_E5M2']);
  for (const part of UNREAD)
    if (tensors.get(`${prefix}_${part}`))
      throw partsError(`${prefix}_${part}`, 'tensors that have it are not read');
  const scale = typedPart(tensors, `${prefix}_scale`, SCALE_TYPES);
  if (codes.shape.length !== 2 || sizeOf(codes.shape) === 0)
    throw partsError(codes.name, `it has two axes, got [${codes.shape.join(', ')}]`);
  if (isFloat8(codes.dtype))
    return { dense: scaledFloats({ ...codes, name }, scale, codes.shape as [number, number]) };
  const zeros = tensors.get(`${prefix}_zero_point`);
  return zeros && zeros.dtype !== 'I8'
    ? nibbleWeight(name, codes, scale, shapedPart(tensors, zeros.name, SCALE_TYPES, scale.shape))
    : byteWeight(
        name,
        codes,
        scale,
        zeros && shapedPart(tensors, zeros.name, ['I8'], scale.shape),
        bits,
      );
}

function byteWeight(
  name: string,
  source: TensorSource,
  scale: TensorSource,
  zeros: TensorSource | undefined,
  bits: number,
): QuantizedWeight {
  const [rows, columns] = source.shape as [number, number];
  const isWhole = sizeOf(scale.shape) === 1;
  const groups = isWhole ? 1 : (scale.shape[1] ?? 0);
  if (!isWhole && (scale.shape.join() !== `${rows},${groups}` || !(groups > 0) || columns % groups))
    throw partsError(
      scale.name,
      `[${scale.shape.join(', ')}] does not go with [${rows}, ${columns}]`,
    );
  const points = zeros?.read();
  const middle = middleOf(bits);
  return groupedWeight({
    name,
    shape: [rows, columns],
    bits,
    isSymmetric: !points || points.every((point) => point === 0),
    groups,
    groupOfColumn: undefined,
    dtype: decodedDtype(scale),
    byteLength: source.byteLength + scale.byteLength + (zeros?.byteLength ?? 0),
    open() {
      const stored = finiteValues(scale);
      const codesOf = points && zeros ? unsigned(zeros.name, points, bits) : Uint8Array.of(middle);
      const each = (place: number): number => (isWhole ? 0 : place);
      return {
        scales: Float32Array.from({ length: rows * groups }, (_, place) => stored[each(place)]!),
        zeros: Uint8Array.from(
          { length: rows * groups },
          (_, place) => codesOf[codesOf.length === 1 ? 0 : place]!,
        ),
        codes: (first, count) =>
          unsigned(source.name, source.read(first * columns, count * columns), bits),
      };
    },
  });
}

function nibbleWeight(
  name: string,
  source: TensorSource,
  scale: TensorSource,
  zero: TensorSource,
): QuantizedWeight {
  const [rows, rowBytes] = source.shape as [number, number];
  const columns = 2 * rowBytes;
  const groups = scale.shape[0] ?? 0;
  if (scale.shape.join() !== `${groups},${rows}` || !(groups > 0) || columns % groups)
    throw partsError(
      scale.name,
      `[${scale.shape.join(', ')}] does not go with [${rows}, ${columns}]`,
    );
  const size = columns / groups;
  return {
    dense: decodedSource({
      name,
      shape: [rows, columns],
      dtype: decodedDtype(scale),
      open() {
        const [scales, zeros] = [finiteValues(scale), finiteValues(zero)];
        return (first, count) => {
          const bytes = source.read(first * rowBytes, count * rowBytes);
          const values = new Float32Array(count * columns);
          for (let i = 0; i < values.length; i += 1) {
            const column = i % columns;
            const group = Math.floor(column / size) * rows + first + (i - column) / columns;
            const nibble = i % 2 === 0 ? bytes[i >> 1]! << 28 : bytes[i >> 1]! << 24;
            values[i] = (nibble >> 28) * scales[group]! + zeros[group]!;
          }
          return values;
        };
      },
    }),
  };
}
