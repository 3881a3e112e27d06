/** Reads the fields of a GGUF header in turn, never beyond the file's end. */
import type { ReadOnlyFile } from '../files/read-only-file.js';
import { invalidGguf } from './gguf-error.js';
import {
  VALUE_BYTES,
  VALUE_TYPES,
  type GgufScalar,
  type GgufValue,
  type ScalarType,
} from './gguf-value.js';

/** Bytes that are fetched at once. */
const WINDOW = 2 ** 20;
/** Longer texts are no names, templates or licences. */
const LONGEST_TEXT = 2 ** 24;

export class GgufReader {
  /** Of the next field, from the file's begin. */
  position = 0;
  #window: DataView = new DataView(new ArrayBuffer(0));
  #windowStart = 0;

  constructor(private readonly file: ReadOnlyFile) {}

  /** A view of so many bytes, which are then behind. */
  take(length: number): DataView {
    const { path, size } = this.file;
    if (this.position + length > size)
      throw invalidGguf(path, `its header ends behind the file's ${size} bytes`);
    const from = this.position - this.#windowStart;
    if (from < 0 || from + length > this.#window.byteLength) {
      const bytes = this.file.read(
        this.position,
        Math.min(size - this.position, Math.max(length, WINDOW)),
      );
      this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#windowStart = this.position;
    }
    const at = this.#window.byteOffset + this.position - this.#windowStart;
    this.position += length;
    return new DataView(this.#window.buffer, at, length);
  }

  u32(): number {
    return this.take(4).getUint32(0, true);
  }

  /** @param what names the field in an error. */
  u64(what: string): number {
    const value = this.take(8).getBigUint64(0, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw invalidGguf(this.file.path, `${what} is ${value}`);
    return Number(value);
  }

  /** @param most bytes of it. */
  text(what: string, most = LONGEST_TEXT): string {
    const length = this.u64(`the length of ${what}`);
    if (length > most) throw invalidGguf(this.file.path, `${what} has ${length} bytes`);
    const view = this.take(length);
    return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset, length));
  }

  value(key: string): GgufValue {
    const type = this.#type(key);
    if (type !== 'array') return this.#scalar(type, key);
    const element = this.#type(key);
    if (element === 'array') throw invalidGguf(this.file.path, `${key} is a list of lists`);
    const length = this.u64(`the length of ${key}`);
    if (length * VALUE_BYTES[element] > this.file.size - this.position)
      throw invalidGguf(this.file.path, `${key} has ${length} elements, more than the file holds`);
    const values: GgufScalar[] = [];
    for (let i = 0; i < length; i += 1) values.push(this.#scalar(element, key));
    return values;
  }

  #type(key: string): (typeof VALUE_TYPES)[number] {
    const id = this.u32();
    const type = VALUE_TYPES[id];
    if (type === undefined) throw invalidGguf(this.file.path, `${key} has a value of type ${id}`);
    return type;
  }

  #scalar(type: ScalarType, key: string): GgufScalar {
    switch (type) {
      case 'string':
        return this.text(key);
      case 'u64':
        return this.u64(key);
      case 'i64': {
        const value = this.take(8).getBigInt64(0, true);
        if (BigInt.asIntN(53, value) !== value)
          throw invalidGguf(this.file.path, `${key} is ${value}`);
        return Number(value);
      }
      case 'bool': {
        const value = this.take(1).getUint8(0);
        if (value > 1)
          throw invalidGguf(this.file.path, `${key} is ${value}, neither true nor false`);
        return value === 1;
      }
      default:
        return numberOf(this.take(VALUE_BYTES[type]), type);
    }
  }
}

function numberOf(
  view: DataView,
  type: Exclude<ScalarType, 'string' | 'bool' | 'u64' | 'i64'>,
): number {
  switch (type) {
    case 'u8':
      return view.getUint8(0);
    case 'i8':
      return view.getInt8(0);
    case 'u16':
      return view.getUint16(0, true);
    case 'i16':
      return view.getInt16(0, true);
    case 'u32':
      return view.getUint32(0, true);
    case 'i32':
      return view.getInt32(0, true);
    case 'f32':
      return view.getFloat32(0, true);
    case 'f64':
      return view.getFloat64(0, true);
  }
}
