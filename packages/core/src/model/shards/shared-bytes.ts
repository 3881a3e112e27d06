/** A frozen weight as bytes, of which ranks keep a part each, and the weight that they make again. */
import {
  decodeFloat32,
  encodeBfloat16,
  encodeFloat16,
  type Engine,
  type FrozenWeight,
  type QuantizedParts,
  type StoredDtype,
  type TensorSource,
  type WeightFormat,
} from '@peft/ops';

/** What a weight is made of. */
export interface SharedBytes {
  readonly bytes: Uint8Array;
  readonly form: BytesForm;
}

/** What is known of a weight without its bytes. */
export interface BytesForm {
  readonly name: string;
  /** Logical shape `[out, in]`. */
  readonly shape: readonly number[];
  readonly format: WeightFormat;
  readonly byteLength: number;
  /**
   * The weight in an engine's hands; the caller disposes it.
   * @param bytes may be read until then; at a multiple of 8 bytes of their buffer
   */
  freeze(bytes: Uint8Array, engine: Engine): FrozenWeight;
}

type Field = Uint8Array | Float32Array;

/** Where a field of a weight lies. */
interface Place {
  readonly start: number;
  readonly length: number;
  readonly isFloat: boolean;
}

/** Fields begin where any number may. */
const ALIGNMENT = 8;

function placesOf(fields: readonly Field[]): readonly Place[] {
  let end = 0;
  return fields.map((field) => {
    const start = end;
    end += Math.ceil(field.byteLength / ALIGNMENT) * ALIGNMENT;
    return { start, length: field.length, isFloat: field instanceof Float32Array };
  });
}

function joinedAt(places: readonly Place[], fields: readonly Field[]): Uint8Array {
  const last = places.at(-1)!;
  const end = last.start + Math.ceil(fields.at(-1)!.byteLength / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(end);
  for (const [i, { buffer, byteOffset, byteLength }] of fields.entries())
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), places[i]!.start);
  return bytes;
}

const fieldsIn = (bytes: Uint8Array, places: readonly Place[]): Field[] =>
  places.map(({ start, length, isFloat }) =>
    isFloat
      ? new Float32Array(bytes.buffer, bytes.byteOffset + start, length)
      : bytes.subarray(start, start + length),
  );

/** Of a quantised weight: its codes, scales and zero points. */
export function bytesOfParts({ packed, absmax, zeros, ...rest }: QuantizedParts): SharedBytes {
  const isPlain = absmax instanceof Float32Array;
  const fields = [
    packed,
    ...(isPlain ? [absmax] : [absmax.codes, absmax.map, absmax.nestedAbsmax]),
    ...(zeros ? [zeros] : []),
  ];
  const places = placesOf(fields);
  const nested = isPlain
    ? undefined
    : { nestedBlockSize: absmax.nestedBlockSize, offset: absmax.offset };
  const bytes = joinedAt(places, fields);
  return { bytes, form: quantizedForm(rest, nested, places, bytes.length) };
}

/** Holds on to no bytes: what a closure beside them would. */
function quantizedForm(
  parts: Omit<QuantizedParts, 'packed' | 'absmax' | 'zeros'>,
  nested: { readonly nestedBlockSize: number; readonly offset: number } | undefined,
  places: readonly Place[],
  byteLength: number,
): BytesForm {
  const { name, shape, format } = parts;
  return {
    name,
    shape,
    format,
    byteLength,
    freeze: (bytes, engine) => {
      const [packed, scales, ...others] = fieldsIn(bytes, places) as [
        Uint8Array,
        Field,
        ...Field[],
      ];
      const absmax = nested
        ? {
            ...nested,
            codes: scales as Uint8Array,
            map: others.shift() as Float32Array,
            nestedAbsmax: others.shift() as Float32Array,
          }
        : (scales as Float32Array);
      return engine.freezeQuantized({ ...parts, packed, absmax, zeros: others[0] as Uint8Array });
    },
  };
}

const KEPT: Partial<Record<StoredDtype, 'f32' | 'f16' | 'bf16'>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
};
const DTYPES = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;

/**
 * Of a weight in floating-point numbers, in the order of its checkpoint.
 * @param transposed the checkpoint stores `[in, out]`
 * @param given what it becomes; default: what it is, float32 where engines have no form for that
 */
export function bytesOfFloats(
  source: TensorSource,
  transposed: boolean,
  given?: 'f32' | 'f16' | 'bf16',
): SharedBytes {
  const held = KEPT[source.dtype];
  const format = given ?? held ?? 'f32';
  const bytes = held === format ? source.read() : encoded(source, format);
  const { name, shape } = source;
  return { bytes, form: floatForm(name, shape, transposed, format, bytes.length) };
}

const HALVES = { f16: encodeFloat16, bf16: encodeBfloat16 };

function encoded(source: TensorSource, format: 'f32' | 'f16' | 'bf16'): Uint8Array {
  const values = decodeFloat32(source.read(), source.dtype);
  const numbers = format === 'f32' ? values : HALVES[format](values);
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

function floatForm(
  name: string,
  stored: readonly number[],
  transposed: boolean,
  format: 'f32' | 'f16' | 'bf16',
  byteLength: number,
): BytesForm {
  return {
    name,
    shape: transposed ? [...stored].reverse() : stored,
    format,
    byteLength,
    freeze: (bytes, engine) =>
      engine.freeze(
        {
          name,
          dtype: DTYPES[format],
          shape: stored,
          byteLength,
          read: (offset = 0, length = byteLength - offset) =>
            bytes.subarray(offset, offset + length),
        },
        { transposed },
      ),
  };
}
