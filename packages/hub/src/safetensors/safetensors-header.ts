/**
 * The header of a safetensors file: 8 bytes little-endian length n, n bytes JSON, then the data.
 *
 * The header is hostile input. It is accepted only when its spans tile the data exactly: in order
 * of offset each span begins where the last one ended, the last ends with the file, and each is as
 * long as its shape and dtype say.
 */
import { PeftError } from '@peft/errors';
import { STORED_BYTES, type StoredDtype } from '@peft/ops';
import { parseStrictJson, StrictJsonError } from '../files/strict-json.js';

/** The format's own bound. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Where one tensor lies: bytes `[begin, end)` after the header. */
export interface TensorSpan {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the header's order. */
  readonly spans: ReadonlyMap<string, TensorSpan>;
}

/**
 * Checks the 8 length bytes.
 *
 * @param prefix the first 8 bytes, or fewer where the file has fewer.
 * @returns bytes of the JSON header.
 * @throws PEFT_SAFETENSORS_HEADER the file is too short, or the length is under 2, over 100 MB or
 *   past the file's end.
 */
export function headerLength(prefix: Uint8Array, fileSize: number, owner: string): number {
  if (prefix.length < 8)
    throw headerError(
      owner,
      `the file has ${fileSize} bytes, fewer than the 8 of the header's length`,
    );
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    throw headerError(
      owner,
      `the header claims ${length} bytes, over the limit of ${MAX_HEADER_BYTES}`,
    );
  if (length > BigInt(fileSize - 8))
    throw headerError(
      owner,
      `the header claims ${length} bytes, the file has ${fileSize - 8} after the length`,
    );
  if (length < 2n) throw headerError(owner, `the header claims ${length} bytes, too few for "{}"`);
  return Number(length);
}

/**
 * Parses and checks a header.
 *
 * @param json the header's bytes.
 * @param dataBytes bytes of the file after the header.
 * @param owner named in errors, usually the file's path.
 * @throws PEFT_SAFETENSORS_HEADER no JSON object, or an entry that is none.
 * @throws PEFT_SAFETENSORS_DUPLICATE a name (or any key) occurs twice.
 * @throws PEFT_SAFETENSORS_METADATA `__metadata__` is no map of strings.
 * @throws PEFT_SAFETENSORS_DTYPE a dtype is unknown.
 * @throws PEFT_SAFETENSORS_SHAPE a shape is no list of sizes, its product is too large, or it
 *   disagrees with the span.
 * @throws PEFT_SAFETENSORS_OFFSETS spans overlap, leave holes, or pass the end of the data.
 */
export function parseSafetensorsHeader(
  json: Uint8Array,
  dataBytes: number,
  owner: string,
): SafetensorsHeader {
  const entries = Object.entries(parseObject(json, owner));
  const spans = new Map<string, TensorSpan>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of entries) {
    if (name === '__metadata__') metadata = parseMetadata(entry, owner);
    else spans.set(name, parseSpan(name, entry, owner));
  }
  checkTiling([...spans.values()], dataBytes, owner);
  return { metadata, spans };
}

function parseObject(json: Uint8Array, owner: string): object {
  if (json[0] !== 0x7b) throw headerError(owner, 'the header does not begin with "{"');
  try {
    return parseStrictJson(json) as object;
  } catch (cause) {
    if (!(cause instanceof StrictJsonError)) throw cause;
    if (cause.reason === 'duplicate-key')
      throw new PeftError(
        'PEFT_SAFETENSORS_DUPLICATE',
        `safetensors: ${owner}: in the header ${cause.message}.`,
        { hint: damaged, cause },
      );
    throw headerError(owner, `the header is no JSON: ${cause.message}`, cause);
  }
}

function parseMetadata(entry: unknown, owner: string): Record<string, string> {
  if (!isObject(entry) || !Object.values(entry).every((value) => typeof value === 'string')) {
    throw new PeftError(
      'PEFT_SAFETENSORS_METADATA',
      `safetensors: ${owner}: __metadata__ must map strings to strings, got ${brief(entry)}.`,
      { hint: damaged },
    );
  }
  return { ...entry };
}

function parseSpan(name: string, entry: unknown, owner: string): TensorSpan {
  const where = `safetensors: ${owner}: tensor ${JSON.stringify(name)}`;
  if (!isObject(entry))
    throw headerError(
      owner,
      `the entry of tensor ${JSON.stringify(name)} is ${brief(entry)}, not an object`,
    );
  const keys = Object.keys(entry).sort().join();
  if (keys !== 'data_offsets,dtype,shape')
    throw headerError(
      owner,
      `tensor ${JSON.stringify(name)} has the keys ${brief(keys)}, not data_offsets, dtype and shape`,
    );
  const {
    dtype,
    shape,
    data_offsets: offsets,
  } = entry as { dtype: unknown; shape: unknown; data_offsets: unknown };
  if (typeof dtype !== 'string' || !Object.hasOwn(STORED_BYTES, dtype)) {
    throw new PeftError('PEFT_SAFETENSORS_DTYPE', `${where} has the dtype ${brief(dtype)}.`, {
      hint: `Readable are ${Object.keys(STORED_BYTES).join(', ')}; convert the checkpoint to one of them.`,
    });
  }
  const shapeError = (problem: string) =>
    new PeftError('PEFT_SAFETENSORS_SHAPE', `${where}: ${problem}.`, { hint: damaged });
  if (!Array.isArray(shape) || !shape.every(isSize))
    throw shapeError(`the shape must be a list of sizes, got ${brief(shape)}`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw new PeftError(
      'PEFT_SAFETENSORS_OFFSETS',
      `${where}: data_offsets must be [begin, end], got ${brief(offsets)}.`,
      { hint: damaged },
    );
  }
  const bytes = byteLengthOf(dtype as StoredDtype, shape);
  if (bytes === undefined)
    throw shapeError(`the shape ${brief(shape)} has more elements than can be counted`);
  const [begin, end] = offsets as [number, number];
  if (end - begin !== bytes)
    throw shapeError(
      `shape ${brief(shape)} of ${dtype} takes ${bytes} bytes, data_offsets [${begin}, ${end}] hold ${end - begin}`,
    );
  return {
    name,
    dtype: dtype as StoredDtype,
    shape: shape.map((size: number) => size + 0),
    begin: begin + 0,
    end: end + 0,
  };
}

/**
 * Bytes of a tensor, or undefined where the product leaves the safe integers (also when a later
 * size is 0).
 */
export function byteLengthOf(dtype: StoredDtype, shape: readonly number[]): number | undefined {
  let bytes: number = STORED_BYTES[dtype];
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

function checkTiling(spans: TensorSpan[], dataBytes: number, owner: string): void {
  const fail = (problem: string) =>
    new PeftError('PEFT_SAFETENSORS_OFFSETS', `safetensors: ${owner}: ${problem}.`, {
      hint: damaged,
    });
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  let last = '';
  for (const span of spans) {
    if (span.end > dataBytes)
      throw fail(
        `tensor ${JSON.stringify(span.name)} ends at byte ${span.end} of the data, which has ${dataBytes}`,
      );
    if (span.begin < end)
      throw fail(
        `tensors ${JSON.stringify(last)} and ${JSON.stringify(span.name)} overlap at byte ${span.begin} of the data`,
      );
    if (span.begin > end)
      throw fail(`bytes ${end} to ${span.begin} of the data belong to no tensor`);
    end = span.end;
    last = span.name;
  }
  if (end !== dataBytes) throw fail(`bytes ${end} to ${dataBytes} of the data belong to no tensor`);
}

const damaged = 'The file is damaged or was not written by a safetensors library; fetch it again.';
const headerError = (owner: string, problem: string, cause?: unknown) =>
  new PeftError('PEFT_SAFETENSORS_HEADER', `safetensors: ${owner}: ${problem}.`, {
    hint: damaged,
    cause,
  });
const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
