/**
 * Opens a file of weights written by `torch.save` (`pytorch_model.bin`, `adapter_model.bin`, …)
 * without running anything in it: the pickle is read as data by `unpickle`, the numbers are read
 * from the file's storages by position.
 */
import { STORED_BYTES, type TensorSource } from '@peft/ops';
import { show } from '@peft/errors';
import { crc32 } from 'node:zlib';
import { ReadOnlyFile } from '../files/read-only-file.js';
import { checkSpan, fileSource, storeOf, type TensorStore } from '../tensor-store.js';
import { ByteReader } from './byte-reader.js';
import { readLegacyTorchFile } from './legacy-torch-file.js';
import type { TorchContent } from './torch-content.js';
import {
  storageOf,
  torchFileError,
  torchGlobals,
  TorchTensor,
  type TorchStorage,
} from './torch-globals.js';
import { unpickle } from './unpickle.js';
import { readZipDirectory } from '../zip/zip-directory.js';

/** A pickle over this many bytes is refused; it holds names and shapes only. */
const MAX_PICKLE_BYTES = 100_000_000;

/**
 * Opens a torch file: zip (PyTorch 1.6 and later) or the older stream of pickles.
 *
 * @returns names in the file's order; the caller closes the store. Sources that lie in the file as
 *   they are carry `file`; a strided view is gathered when it is read.
 * @throws PEFT_PICKLE_FORBIDDEN the pickle asks for more than tensors.
 * @throws PEFT_PICKLE_DAMAGED, PEFT_ZIP_DAMAGED, PEFT_TORCH_FILE the file is damaged, lies about
 *   itself or holds no dict of tensors.
 */
export function openTorchFile(path: string): TensorStore {
  const file = new ReadOnlyFile(path);
  try {
    const isZip =
      file.size >= 4 && Buffer.from(file.read(0, 4)).toString('latin1') === 'PK\x03\x04';
    const { object, byteOffsets } = isZip ? readZipTorchFile(file) : readLegacyTorchFile(file);
    if (!(object instanceof Map)) throw torchFileError(file.path, 'it holds no dict');
    const sources = new Map<string, TensorSource>();
    for (const [name, tensor] of object as Map<unknown, unknown>) {
      if (typeof name !== 'string' || !(tensor instanceof TorchTensor))
        throw torchFileError(file.path, `the entry ${shownKey(name)} is no tensor`);
      sources.set(name, sourceOf(file, name, tensor, byteOffsets.get(tensor.storage.key)!));
    }
    return storeOf(sources, {}, () => file.close());
  } catch (error) {
    file.close();
    throw error;
  }
}

/** A key that is no text may be a list of lists without end: only its kind is named. */
const shownKey = (key: unknown): string =>
  typeof key === 'string' ? show(key) : `under a key that is no text but of type ${typeof key}`;

/** `<folder>/data.pkl` names the storages, `<folder>/data/<key>` holds each. */
function readZipTorchFile(file: ReadOnlyFile): TorchContent {
  const entries = readZipDirectory(file);
  for (const { name, method } of entries.values())
    if (method !== 'stored')
      throw torchFileError(
        file.path,
        `the entry ${JSON.stringify(name)} is compressed, which PyTorch never does`,
      );
  const pickles = [...entries.values()].filter((entry) => /^[^/]+\/data\.pkl$/.test(entry.name));
  const [pickle] = pickles;
  if (!pickle || pickles.length !== 1)
    throw torchFileError(file.path, `it has ${pickles.length} entries named data.pkl, not one`);
  if (pickle.size > MAX_PICKLE_BYTES)
    throw torchFileError(
      file.path,
      `its data.pkl has ${pickle.size} bytes, over the limit of ${MAX_PICKLE_BYTES}`,
    );
  const folder = pickle.name.slice(0, -'data.pkl'.length);
  const order = entries.get(`${folder}byteorder`);
  if (
    order &&
    (order.size > 16 ||
      Buffer.from(file.read(order.offset, order.size)).toString('latin1') !== 'little')
  )
    throw torchFileError(file.path, 'its bytes are not little-endian');
  const bytes = file.read(pickle.offset, pickle.size);
  if (crc32(bytes) !== pickle.crc32)
    throw torchFileError(file.path, 'the checksum of its data.pkl is wrong');

  const byteOffsets = new Map<string, number>();
  const persistentLoad = (id: unknown): TorchStorage => {
    const storage = storageOf(id, file.path);
    const entry = entries.get(`${folder}data/${storage.key}`);
    const expected = storage.length * STORED_BYTES[storage.dtype];
    if (entry?.size !== expected)
      throw torchFileError(
        file.path,
        `storage ${JSON.stringify(storage.key)} should have ${expected} bytes, ` +
          `${entry ? `has ${entry.size}` : 'is missing'}`,
      );
    byteOffsets.set(storage.key, entry.offset);
    return storage;
  };
  const reader = new ByteReader(
    (offset, length) => bytes.subarray(offset, offset + length),
    0,
    bytes.length,
  );
  return {
    object: unpickle(reader, {
      owner: file.path,
      globals: torchGlobals(file.path),
      persistentLoad,
    }),
    byteOffsets,
  };
}

function sourceOf(
  file: ReadOnlyFile,
  name: string,
  tensor: TorchTensor,
  storageOffset: number,
): TensorSource {
  const { storage, shape, strides } = tensor;
  const size = STORED_BYTES[storage.dtype];
  if (isContiguous(shape, strides))
    return fileSource(file, name, storage.dtype, shape, storageOffset + tensor.offset * size);
  const byteLength = shape.reduce((product, length) => product * length, size);
  return Object.freeze({
    name,
    dtype: storage.dtype,
    shape: Object.freeze([...shape]),
    byteLength,
    read(start = 0, length = byteLength - start): Uint8Array {
      checkSpan(name, start, length, byteLength);
      const last = shape.reduce((sum, count, axis) => sum + (count - 1) * strides[axis]!, 0);
      const span = file.read(storageOffset + tensor.offset * size, (last + 1) * size);
      return gather(span, shape, strides, size).slice(start, start + length);
    },
  });
}

/**
 * Row-major without gaps; the stride of an axis of one element means nothing, nor do strides of an
 * empty tensor.
 */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) return true;
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** The elements of a strided view in row-major order. */
function gather(
  span: Uint8Array,
  shape: readonly number[],
  strides: readonly number[],
  size: number,
): Uint8Array {
  const count = shape.reduce((product, length) => product * length, 1);
  const out = new Uint8Array(count * size);
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0, at = 0; i < count; i += 1) {
    for (let byte = 0; byte < size; byte += 1) out[i * size + byte] = span[at * size + byte]!;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      at += strides[axis]!;
      index[axis]! += 1;
      if (index[axis]! < shape[axis]!) break;
      at -= index[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}
