/** Writes a GGUF file of version 3, a tensor at a time. */
import type { FileHandle } from 'node:fs/promises';
import { PeftError } from '@peft/errors';
import type { BlockCoder } from '@peft/ops';
import { writeFileAtomic } from '../files/write-file-atomic.js';
import type { BlockType } from './blocks/block-type.js';
import { encodeBlocks } from './blocks/block-types.js';
import { padded } from './gguf-header.js';
import {
  ALIGNMENT,
  MAGIC,
  VALUE_BYTES,
  VALUE_TYPES,
  VERSION,
  type GgufEntry,
  type GgufScalar,
  type ScalarType,
} from './gguf-value.js';

/** A tensor to be written. */
export interface NewGgufTensor {
  readonly name: string;
  readonly type: BlockType;
  /** Row-major, `[out, in]` of a linear weight; the last size is whole blocks. */
  readonly shape: readonly number[];
  /**
   * float32 values, bytes in the type, or pieces of either one behind the other, whole blocks each;
   * made when their turn comes, and no longer read when the next piece is asked for.
   */
  readonly data: () => Float32Array | Uint8Array | Iterable<Float32Array | Uint8Array>;
}

/** Bytes of a tensor's data. */
export const ggufTensorBytes = ({ type, shape }: Pick<NewGgufTensor, 'type' | 'shape'>): number =>
  (shape.reduce((product, size) => product * size, 1) / type.blockSize) * type.blockBytes;

/**
 * Writes a file under a temporary name until it is complete and flushed. While a piece is written,
 * the next one is made.
 * @param coder makes the bytes of blocks faster
 * @throws PEFT_GGUF_TENSOR a name comes twice, a row is no whole number of blocks, or the data is
 *   longer or shorter than the shape says
 */
export async function writeGguf(
  path: string,
  metadata: readonly GgufEntry[],
  tensors: readonly NewGgufTensor[],
  coder?: BlockCoder,
): Promise<void> {
  const header = encodeHeader(metadata, tensors);
  await writeFileAtomic(path, async (file) => {
    let written = writeAll(file, header);
    try {
      for (const tensor of tensors)
        for (const bytes of bytesOf(tensor, coder)) {
          await written;
          written = writeAll(file, bytes);
        }
    } finally {
      await written; // nothing is closed while it is written to
    }
  });
}

/** Its data in pieces, and the bytes up to the next tensor. */
function* bytesOf(tensor: NewGgufTensor, coder: BlockCoder | undefined): Generator<Uint8Array> {
  const expected = ggufTensorBytes(tensor);
  const wrong = (bytes: number) =>
    refused(tensor.name, `has ${bytes} bytes, its shape asks for ${expected}`);
  let total = 0;
  const data = tensor.data();
  const pieces = data instanceof Float32Array || data instanceof Uint8Array ? [data] : data;
  for (const piece of pieces) {
    const bytes = piece instanceof Uint8Array ? piece : encodeBlocks(tensor.type, piece, coder);
    total += bytes.byteLength;
    if (total > expected) throw wrong(total);
    yield bytes;
  }
  if (total !== expected) throw wrong(total);
  yield new Uint8Array(padded(expected, ALIGNMENT) - expected);
}

const refused = (name: string, what: string): PeftError =>
  new PeftError('PEFT_GGUF_TENSOR', `gguf: the tensor ${JSON.stringify(name)} ${what}.`);

function encodeHeader(
  metadata: readonly GgufEntry[],
  tensors: readonly NewGgufTensor[],
): Uint8Array {
  const out = new HeaderBytes();
  for (const letter of MAGIC) out.put('u8', letter.charCodeAt(0));
  out.put('u32', VERSION);
  out.put('u64', tensors.length);
  out.put('u64', metadata.length);
  for (const { key, type, value } of metadata) {
    out.put('string', key);
    if (Array.isArray(value)) {
      out.put('u32', VALUE_TYPES.indexOf('array'));
      out.put('u32', VALUE_TYPES.indexOf(type));
      out.put('u64', value.length);
      for (const element of value as readonly GgufScalar[]) out.put(type, element);
    } else {
      out.put('u32', VALUE_TYPES.indexOf(type));
      out.put(type, value as GgufScalar);
    }
  }
  const names = new Set<string>();
  let offset = 0;
  for (const tensor of tensors) {
    const { name, type, shape } = tensor;
    if (names.has(name)) throw refused(name, 'is there twice');
    names.add(name);
    if (shape.at(-1)! % type.blockSize !== 0)
      throw refused(
        name,
        `has rows of ${shape.at(-1)}, no multiple of ${type.name}'s ${type.blockSize}`,
      );
    out.put('string', name);
    out.put('u32', shape.length);
    for (const size of [...shape].reverse()) out.put('u64', size);
    out.put('u32', type.id);
    out.put('u64', offset);
    offset += padded(ggufTensorBytes(tensor), ALIGNMENT);
  }
  return out.padded(ALIGNMENT);
}

/** Bytes that grow. */
class HeaderBytes {
  #view = new DataView(new ArrayBuffer(2 ** 16));
  #length = 0;

  put(type: ScalarType, value: GgufScalar): void {
    if (type === 'string') return this.#text(String(value));
    const at = this.#room(VALUE_BYTES[type]);
    const view = this.#view;
    const number = Number(value);
    switch (type) {
      case 'u8':
      case 'bool':
        return view.setUint8(at, number);
      case 'i8':
        return view.setInt8(at, number);
      case 'u16':
        return view.setUint16(at, number, true);
      case 'i16':
        return view.setInt16(at, number, true);
      case 'u32':
        return view.setUint32(at, number, true);
      case 'i32':
        return view.setInt32(at, number, true);
      case 'f32':
        return view.setFloat32(at, number, true);
      case 'f64':
        return view.setFloat64(at, number, true);
      case 'u64':
        return view.setBigUint64(at, BigInt(number), true);
      case 'i64':
        return view.setBigInt64(at, BigInt(number), true);
    }
  }

  padded(alignment: number): Uint8Array {
    const length = padded(this.#length, alignment);
    this.#room(length - this.#length);
    return new Uint8Array(this.#view.buffer, 0, length);
  }

  #text(text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    this.put('u64', bytes.length);
    const at = this.#room(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
  }

  /** @returns where so many further bytes begin */
  #room(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#view.byteLength) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(new Uint8Array(this.#view.buffer));
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const piece = bytes.subarray(done, done + 2 ** 30);
    done += (await file.write(piece)).bytesWritten;
  }
}
