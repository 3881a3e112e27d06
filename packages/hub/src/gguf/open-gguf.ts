/** Opens a GGUF file: the header is read and checked at once, tensors when they are asked for. */
import { PeftError } from '@peft/errors';
import { ReadOnlyFile } from '../files/read-only-file.js';
import { checkSpan } from '../tensor-store.js';
import { decodeBlocks } from './blocks/block-types.js';
import { readGgufHeader, type GgufHeader, type GgufTensor } from './gguf-header.js';

/** A GGUF file that is open. */
export interface GgufFile extends GgufHeader {
  /** Absolute. */
  readonly path: string;
  /** Some bytes of a tensor as they are stored; default: all of them. */
  bytes(tensor: GgufTensor, byteOffset?: number, byteLength?: number): Uint8Array;
  /** The float32 values of some of a tensor's blocks; default: of all. */
  values(tensor: GgufTensor, firstBlock?: number, blocks?: number): Float32Array;
  /** Closes the file; nothing can be read afterwards. */
  close(): void;
}

/**
 * Opens a GGUF file. The caller closes it.
 * @throws PEFT_FILE_OPEN, PEFT_GGUF_INVALID, PEFT_GGUF_TYPE, and PEFT_GGUF_SPLIT for one part of
 *   several
 */
export function openGguf(path: string): GgufFile {
  const file = new ReadOnlyFile(path);
  try {
    const header = readGgufHeader(file);
    const parts = header.metadata.get('split.count');
    if (typeof parts === 'number' && parts > 1)
      throw new PeftError('PEFT_GGUF_SPLIT', `gguf: ${file.path} is one of ${parts} parts.`, {
        hint: 'join them: llama-gguf-split --merge FIRST-PART OUT.gguf',
      });
    return Object.freeze<GgufFile>({
      ...header,
      path: file.path,
      bytes({ name, byteOffset, byteLength }, start = 0, length = byteLength - start) {
        checkSpan(name, start, length, byteLength);
        return file.read(byteOffset + start, length);
      },
      values({ type, byteOffset, byteLength }, first = 0, blocks) {
        const start = first * type.blockBytes;
        const length = blocks === undefined ? byteLength - start : blocks * type.blockBytes;
        return decodeBlocks(type, file.read(byteOffset + start, length));
      },
      close: () => file.close(),
    });
  } catch (error) {
    file.close();
    throw error;
  }
}
