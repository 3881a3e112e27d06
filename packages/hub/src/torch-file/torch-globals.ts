/** The few names of PyTorch that a file of weights uses, each as plain data. */
import { PeftError, show } from '@peft/errors';
import { STORED_BYTES, type StoredDtype } from '@peft/ops';
import type { PickleGlobal } from './unpickle.js';

/** A run of elements in the file, shared by the tensors that are views of it. */
export class TorchStorage {
  constructor(
    readonly dtype: StoredDtype,
    readonly key: string,
    /** Elements. */
    readonly length: number,
  ) {}
}

/** A view of a storage: element (i, j, …) is at `offset + i·strides[0] + j·strides[1] + …`. */
export class TorchTensor {
  constructor(
    readonly storage: TorchStorage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

const STORAGE_TYPES: Readonly<Record<string, StoredDtype>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** The list for `unpickle`. @param owner named in errors. */
export function torchGlobals(owner: string): Map<string, PickleGlobal> {
  const globals: PickleGlobal[] = [
    { global: 'collections OrderedDict', call: ([pairs = []]) => orderedDict(pairs, owner) },
    { global: 'torch._utils _rebuild_tensor', call: (args) => rebuildTensor(args, owner) },
    { global: 'torch._utils _rebuild_tensor_v2', call: (args) => rebuildTensor(args, owner) },
    { global: 'torch._utils _rebuild_parameter', call: ([tensor]) => tensor },
    { global: 'torch Size', call: ([sizes]) => sizes },
  ];
  for (const name of Object.keys(STORAGE_TYPES)) globals.push({ global: `torch ${name}` });
  return new Map(globals.map((entry) => [entry.global, entry]));
}

/**
 * The storage that a persistent id `('storage', type, key, location, elements, view?)` names.
 *
 * @throws PEFT_TORCH_FILE the id is no such tuple, or the storage is a view of another (PyTorch
 *   before 0.4).
 */
export function storageOf(id: unknown, owner: string): TorchStorage {
  const [kind, type, key, , length, view = null] = Array.isArray(id) ? (id as unknown[]) : [];
  const { global } = (type ?? {}) as Partial<PickleGlobal>;
  const dtype =
    typeof global === 'string' ? STORAGE_TYPES[global.replace(/^torch /, '')] : undefined;
  if (
    kind !== 'storage' ||
    !dtype ||
    typeof key !== 'string' ||
    !isSize(length) ||
    view !== null ||
    !Number.isSafeInteger(length * STORED_BYTES[dtype])
  ) {
    throw torchFileError(owner, 'a storage is described in a way that PyTorch does not use');
  }
  return new TorchStorage(dtype, key, length);
}

/** An error about what a torch file holds. */
export const torchFileError = (owner: string, problem: string): PeftError =>
  new PeftError('PEFT_TORCH_FILE', `hub: ${owner}: ${problem}.`, {
    hint:
      'A file of weights is one dict of tensors, as torch.save(model.state_dict()) writes ' +
      'it; fetch it again, or use a safetensors file.',
  });

function orderedDict(pairs: unknown, owner: string): Map<unknown, unknown> {
  if (!Array.isArray(pairs) || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2))
    throw torchFileError(owner, 'an OrderedDict is made of something else than pairs');
  return new Map(pairs as [unknown, unknown][]);
}

/**
 * Checks that every element of the view lies in its storage, and that none is there twice (no bombs
 * by stride 0).
 */
function rebuildTensor(
  [storage, offset, shape, strides]: readonly unknown[],
  owner: string,
): TorchTensor {
  if (
    !(storage instanceof TorchStorage) ||
    !isSize(offset) ||
    !Array.isArray(shape) ||
    !Array.isArray(strides) ||
    shape.length !== strides.length ||
    !shape.every(isSize) ||
    !strides.every(isSize)
  ) {
    throw torchFileError(owner, 'a tensor is described in a way that PyTorch does not use');
  }
  const sizes = shape;
  const count = sizes.reduce((product, size) => product * size, 1);
  const last = sizes.reduce(
    (sum, size, axis) => sum + (size - 1) * (strides[axis] as number),
    offset,
  );
  if (count > 0 && !(count <= storage.length && last < storage.length)) {
    throw torchFileError(
      owner,
      `a tensor of shape ${show(sizes)} does not fit its storage of ${storage.length} elements`,
    );
  }
  return new TorchTensor(storage, offset, sizes, strides);
}

const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
