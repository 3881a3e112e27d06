/**
 * bitsandbytes' `quant_state`: JSON in the bytes of a uint8 tensor beside a 4-bit weight, telling
 * its type, block size and shape. A stranger wrote it, so each field is checked.
 */
import { show } from '@peft/errors';
import { checkBlockSize, type TensorSource } from '@peft/ops';
import { parseStrictJson } from '../../files/strict-json.js';
import { partsError } from '../parts-error.js';

export interface QuantState {
  readonly format: 'nf4' | 'fp4';
  /** `[out, in]` */
  readonly shape: readonly [number, number];
  readonly blockSize: number;
  /** Of the block maxima, when they are quantised, too. */
  readonly nested?: { readonly blockSize: number; readonly offset: number };
}

/** Far above what bitsandbytes writes (about 200 bytes). */
const MAX_BYTES = 65536;
const MAX_ELEMENTS = 2 ** 40;

/** @param source of `<weight>.quant_state.bitsandbytes__<type>`. @throws PEFT_QUANTIZED_PARTS */
export function readQuantState(source: TensorSource, format: 'nf4' | 'fp4'): QuantState {
  const { name } = source;
  if (source.dtype !== 'U8' || source.shape.length !== 1 || source.byteLength > MAX_BYTES)
    throw partsError(
      name,
      `a quant_state is a list of at most ${MAX_BYTES} bytes, got ${source.dtype} [${source.shape.join(', ')}]`,
    );
  const json = parse(name, source.read());
  if (json['quant_type'] !== format)
    throw partsError(name, `quant_type is ${show(json['quant_type'])}, its name says ${format}`);
  const { shape, blocksize, nested_blocksize: nestedBlockSize, nested_offset: offset } = json;
  if (
    !Array.isArray(shape) ||
    shape.length !== 2 ||
    !shape.every((size) => Number.isSafeInteger(size) && size > 0) ||
    shape[0] * shape[1] > MAX_ELEMENTS
  )
    throw partsError(name, `shape must be two sizes, got ${show(shape)}`);
  const isNested = nestedBlockSize !== undefined && nestedBlockSize !== null;
  const state = { format, shape: shape as [number, number], blockSize: blockSize(name, blocksize) };
  if (!isNested) return state;
  if (!Number.isSafeInteger(nestedBlockSize) || (nestedBlockSize as number) < 1)
    throw partsError(
      name,
      `nested_blocksize must be a positive integer, got ${show(nestedBlockSize)}`,
    );
  if (typeof offset !== 'number' || !Number.isFinite(offset))
    throw partsError(name, `nested_offset must be a number, got ${show(offset)}`);
  return { ...state, nested: { blockSize: nestedBlockSize as number, offset } };
}

function parse(name: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const json = parseStrictJson(bytes);
    if (typeof json === 'object' && json !== null && !Array.isArray(json))
      return json as Record<string, unknown>;
  } catch (cause) {
    throw partsError(
      name,
      `quant_state is not JSON (${cause instanceof Error ? cause.message : String(cause)})`,
    );
  }
  throw partsError(name, 'quant_state is not an object');
}

function blockSize(name: string, value: unknown): number {
  try {
    checkBlockSize(value as number);
  } catch {
    throw partsError(name, `blocksize must be 32, 64, 128, … 4096, got ${show(value)}`);
  }
  return value as number;
}

/**
 * The bytes that bitsandbytes writes: `json.dumps` of its dictionary.
 * @param dtype of the weight before it was quantised, a torch name without `torch.`.
 */
export function encodeQuantState(
  { format, shape, blockSize: size, nested }: QuantState,
  dtype: string,
): Uint8Array {
  const fields: [string, unknown][] = [
    ['quant_type', format],
    ['blocksize', size],
    ['dtype', dtype],
    ['shape', shape],
  ];
  if (nested)
    fields.push(
      ['nested_blocksize', nested.blockSize],
      ['nested_dtype', 'float32'],
      ['nested_offset', nested.offset],
    );
  const text = fields.map(
    ([key, value]) =>
      `${JSON.stringify(key)}: ${Array.isArray(value) ? `[${value.join(', ')}]` : JSON.stringify(value)}`,
  );
  return new TextEncoder().encode(`{${text.join(', ')}}`);
}
