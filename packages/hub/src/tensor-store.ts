/** The tensors of a checkpoint by name, each read when it is asked for. */
import { PeftError } from '@peft/errors';
import { STORED_BYTES, type StoredDtype, type TensorSource } from '@peft/ops';
import type { ReadOnlyFile } from './files/read-only-file.js';

/** A checkpoint that is open: tensors by name, each read when it is asked for. */
export interface TensorStore {
  /** The checkpoint's own names, in the order of its files. */
  names(): string[];
  /** The tensor of that name, not yet read; `undefined` where the checkpoint has none. */
  get(name: string): TensorSource | undefined;
  /** The header's `__metadata__`; of a sharded checkpoint, that of the first shard. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Sentences on what is odd about the files and was read nevertheless; none where absent. */
  readonly warnings?: readonly string[];
  /** Closes the files. Sources taken from the store cannot be read afterwards. */
  close(): void;
}

/** A store over sources that are known already. */
export function storeOf(
  sources: ReadonlyMap<string, TensorSource>,
  metadata: Readonly<Record<string, string>>,
  close: () => void,
  warnings: readonly string[] = [],
): TensorStore {
  return {
    names: () => [...sources.keys()],
    get: (name) => sources.get(name),
    metadata,
    warnings,
    close,
  };
}

/** A source whose elements lie in a file in row-major order from `byteOffset`. */
export function fileSource(
  file: ReadOnlyFile,
  name: string,
  dtype: StoredDtype,
  shape: readonly number[],
  byteOffset: number,
): TensorSource {
  const total = shape.reduce((product, size) => product * size, STORED_BYTES[dtype]);
  return Object.freeze({
    name,
    dtype,
    shape: Object.freeze([...shape]),
    byteLength: total,
    file: Object.freeze({ path: file.path, byteOffset }),
    read(start = 0, length = total - start): Uint8Array {
      checkSpan(name, start, length, total);
      return file.read(byteOffset + start, length);
    },
  });
}

/** @throws PEFT_TENSOR_RANGE the span is no part of the tensor. */
export function checkSpan(name: string, start: number, length: number, total: number): void {
  if (
    !Number.isSafeInteger(start) ||
    !Number.isSafeInteger(length) ||
    start < 0 ||
    length < 0 ||
    start + length > total
  ) {
    throw new PeftError(
      'PEFT_TENSOR_RANGE',
      `hub: bytes ${start} to ${start + length} were asked of tensor ${JSON.stringify(name)}, which has ${total}.`,
    );
  }
}
