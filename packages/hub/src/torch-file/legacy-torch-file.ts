/**
 * The layout of `torch.save` before PyTorch 1.6: five pickles in a row (magic number, protocol
 * 1001, system, object, storage keys), then for each key 8 bytes with the number of elements and
 * the elements.
 */
import { show } from '@peft/errors';
import { STORED_BYTES } from '@peft/ops';
import type { ReadOnlyFile } from '../files/read-only-file.js';
import { ByteReader } from './byte-reader.js';
import type { TorchContent } from './torch-content.js';
import { storageOf, torchFileError, torchGlobals, type TorchStorage } from './torch-globals.js';
import { unpickle } from './unpickle.js';

const MAGIC = 0x1950a86a20f9469cfc6cn;

/** @throws PEFT_TORCH_FILE the file is of no layout of PyTorch, or contradicts itself. */
export function readLegacyTorchFile(file: ReadOnlyFile): TorchContent {
  const reader = new ByteReader((offset, length) => file.read(offset, length), 0, file.size);
  if (file.size < 2 || file.read(0, 1)[0] !== 0x80)
    throw torchFileError(file.path, 'it is neither a zip file nor a pickle');
  const plain = { owner: file.path, globals: new Map() };
  if (unpickle(reader, plain) !== MAGIC || unpickle(reader, plain) !== 1001)
    throw torchFileError(file.path, 'it is a pickle, but not of torch.save');
  const system = unpickle(reader, plain);
  if (!(system instanceof Map) || system.get('little_endian') !== true)
    throw torchFileError(file.path, 'its bytes are not little-endian');

  const storages = new Map<string, TorchStorage>();
  const persistentLoad = (id: unknown): TorchStorage => {
    const storage = storageOf(id, file.path);
    const known = storages.get(storage.key);
    if (known && (known.dtype !== storage.dtype || known.length !== storage.length))
      throw torchFileError(
        file.path,
        `storage ${show(storage.key)} is described twice and differently`,
      );
    if (!known) storages.set(storage.key, storage);
    return known ?? storage;
  };
  const object = unpickle(reader, {
    owner: file.path,
    globals: torchGlobals(file.path),
    persistentLoad,
  });
  const keys = unpickle(reader, plain);
  if (
    !Array.isArray(keys) ||
    new Set(keys).size !== keys.length ||
    keys.length !== storages.size ||
    !keys.every((key) => storages.has(key as string))
  ) {
    throw torchFileError(file.path, 'its list of storages is not that of its tensors');
  }
  const byteOffsets = new Map<string, number>();
  for (const key of keys as string[]) {
    const storage = storages.get(key)!;
    const prefix = reader.bytes(8);
    const expected = storage.length * STORED_BYTES[storage.dtype];
    if (
      !prefix ||
      Buffer.from(prefix).readBigInt64LE() !== BigInt(storage.length) ||
      reader.remaining < expected
    ) {
      throw torchFileError(
        file.path,
        `storage ${show(key)} of ${storage.length} elements is not there or of another length`,
      );
    }
    byteOffsets.set(key, reader.position);
    reader.position += expected;
  }
  return { object, byteOffsets };
}
