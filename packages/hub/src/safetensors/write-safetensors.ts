/**
 * Writes a safetensors file byte for byte as Python's library lays it out: tensors by dtype (widest
 * alignment first), then by name in UTF-8 order; compact JSON; the header padded with spaces so
 * that the data starts at a multiple of 8.
 */
import { PeftError } from '@peft/errors';
import { STORED_BYTES, type StoredDtype, type TensorSource } from '@peft/ops';
import type { FileHandle } from 'node:fs/promises';
import { writeFileAtomic } from '../files/write-file-atomic.js';
import { encodeValues, type StorableValues } from '../tensor-values.js';
import { byteLengthOf, MAX_HEADER_BYTES } from './safetensors-header.js';

/**
 * A tensor to be written. Its data may be a function, called when its turn comes, so that one
 * tensor is in memory at a time.
 */
export interface NewTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  /** Empty for a scalar. */
  readonly shape: readonly number[];
  /** See `encodeValues` for what goes with which dtype. */
  readonly data: StorableValues | (() => StorableValues | Promise<StorableValues>);
}

/** Something new, or a tensor of an opened checkpoint, which is copied in pieces. */
export type WritableTensor = NewTensor | TensorSource;

/** How a safetensors file is written. */
export interface WriteSafetensorsOptions {
  /** `__metadata__`. Default `{ format: 'pt' }`, which Python's loaders ask for. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Bytes copied at once from a checkpoint that is open. */
const COPY_BYTES = 2 ** 24;

/** The order of Python's library, checked against its files. */
const DTYPE_ORDER: readonly StoredDtype[] = [
  'I64',
  'F64',
  'F32',
  'I32',
  'BF16',
  'F16',
  'I16',
  'F8_E8M0',
  'F8_E4M3',
  'F8_E5M2',
  'I8',
  'U8',
  'BOOL',
];

/**
 * Writes tensors to a file, under a temporary name until it is complete and flushed.
 *
 * @throws PEFT_SAFETENSORS_DUPLICATE two tensors have one name.
 * @throws PEFT_SAFETENSORS_SHAPE a shape holds no sizes, or the data is longer or shorter than the
 *   shape says.
 * @throws PEFT_TENSOR_DTYPE the data's array type does not go with the dtype.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<WritableTensor>,
  options: WriteSafetensorsOptions = {},
): Promise<void> {
  const sorted = sortTensors(tensors);
  const header = encodeHeader(sorted, options.metadata ?? { format: 'pt' });
  await writeFileAtomic(path, async (file) => {
    await writeAll(file, header);
    for (const tensor of sorted) await writeTensor(file, tensor);
  });
}

/**
 * Bytes of a tensor's data.
 * @throws PEFT_SAFETENSORS_SHAPE the shape holds something else than sizes.
 */
export function tensorBytes({ name, dtype, shape }: WritableTensor): number {
  if (!Object.hasOwn(STORED_BYTES, dtype))
    throw new PeftError(
      'PEFT_SAFETENSORS_DTYPE',
      `safetensors: tensor ${JSON.stringify(name)} has the dtype ${String(dtype)}.`,
      { hint: `Writable are ${DTYPE_ORDER.join(', ')}.` },
    );
  const bytes = shape.every((size) => Number.isSafeInteger(size) && size >= 0)
    ? byteLengthOf(dtype, shape)
    : undefined;
  if (bytes === undefined)
    throw new PeftError(
      'PEFT_SAFETENSORS_SHAPE',
      `safetensors: tensor ${JSON.stringify(name)} has the shape [${shape.join(', ')}].`,
      { hint: 'A shape is a list of sizes from 0 up.' },
    );
  return bytes;
}

function sortTensors(tensors: Iterable<WritableTensor>): WritableTensor[] {
  const byName = new Map<string, WritableTensor>();
  for (const tensor of tensors) {
    if (byName.has(tensor.name) || tensor.name === '__metadata__') {
      throw new PeftError(
        'PEFT_SAFETENSORS_DUPLICATE',
        `safetensors: ${byName.has(tensor.name) ? 'two tensors have' : 'a tensor has'} the ` +
          `name ${JSON.stringify(tensor.name)}.`,
        { hint: 'Give every tensor its own name; "__metadata__" is taken.' },
      );
    }
    byName.set(tensor.name, tensor);
  }
  const keyed = [...byName.values()].map((tensor) => ({
    tensor,
    rank: DTYPE_ORDER.indexOf(tensor.dtype),
    bytes: Buffer.from(tensor.name, 'utf8'),
  }));
  keyed.sort((a, b) => a.rank - b.rank || Buffer.compare(a.bytes, b.bytes));
  return keyed.map(({ tensor }) => tensor);
}

function encodeHeader(
  sorted: readonly WritableTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const parts: string[] = [];
  if (Object.keys(metadata).length > 0) parts.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const tensor of sorted) {
    const end = offset + tensorBytes(tensor);
    parts.push(
      `${JSON.stringify(tensor.name)}:${JSON.stringify({ dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, end] })}`,
    );
    offset = end;
  }
  const json = Buffer.from(`{${parts.join(',')}}`, 'utf8');
  const length = Math.ceil(json.length / 8) * 8;
  if (length > MAX_HEADER_BYTES)
    throw new PeftError(
      'PEFT_SAFETENSORS_HEADER',
      `safetensors: the header would have ${length} bytes, over the format's limit of ${MAX_HEADER_BYTES}.`,
      { hint: 'Write several files, or less metadata.' },
    );
  const header = Buffer.alloc(8 + length, ' ');
  header.writeBigUInt64LE(BigInt(length), 0);
  json.copy(header, 8);
  return header;
}

async function writeTensor(file: FileHandle, tensor: WritableTensor): Promise<void> {
  const expected = tensorBytes(tensor);
  let written = 0;
  const write = async (bytes: Uint8Array) => {
    written += bytes.length;
    if (written <= expected) await writeAll(file, bytes);
  };
  if ('read' in tensor)
    for (let at = 0; at < expected; at += COPY_BYTES)
      await write(tensor.read(at, Math.min(COPY_BYTES, expected - at)));
  else
    await write(
      encodeValues(
        tensor.dtype,
        typeof tensor.data === 'function' ? await tensor.data() : tensor.data,
      ),
    );
  if (written !== expected)
    throw new PeftError(
      'PEFT_SAFETENSORS_SHAPE',
      `safetensors: tensor ${JSON.stringify(tensor.name)} of ${tensor.dtype} [${tensor.shape.join(', ')}] ` +
        `takes ${expected} bytes, its data has ${written}.`,
      { hint: 'Pass data of the shape, or the shape of the data.' },
    );
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;)
    at += (await file.write(bytes, at, Math.min(bytes.length - at, 2 ** 30))).bytesWritten;
}
