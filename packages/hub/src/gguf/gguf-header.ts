/**
 * The header of a GGUF file: metadata and where each tensor lies. Every number is checked against
 * the file before it is used: a header is accepted only when its tensors lie apart, within the
 * file, aligned, and as long as their shapes and types say.
 */
import { PeftError } from '@peft/errors';
import type { ReadOnlyFile } from '../files/read-only-file.js';
import type { BlockType } from './blocks/block-type.js';
import { BLOCK_TYPES, blockTypeById } from './blocks/block-types.js';
import { invalidGguf } from './gguf-error.js';
import { GgufReader } from './gguf-reader.js';
import { ALIGNMENT, MAGIC, type GgufValue } from './gguf-value.js';

/** A tensor of a file, not yet read. */
export interface GgufTensor {
  readonly name: string;
  readonly type: BlockType;
  /** Row-major, the longest stride first: `[out, in]` of a linear weight. */
  readonly shape: readonly number[];
  /** From the file's begin. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** What a GGUF file says before its tensors: metadata, and where each tensor lies. */
export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const MOST_ENTRIES = 2 ** 16;
const LONGEST_NAME = 2 ** 10;
const MOST_DIMENSIONS = 4;
const MOST_ALIGNMENT = 2 ** 16;

/**
 * @throws PEFT_GGUF_INVALID, and PEFT_GGUF_TYPE for a type of tensor that is not read here
 */
export function readGgufHeader(file: ReadOnlyFile): GgufHeader {
  const reader = new GgufReader(file);
  const refuse = (what: string): never => {
    throw invalidGguf(file.path, what);
  };
  if (file.size < 24) refuse(`it has ${file.size} bytes`);
  const magic = reader.take(4);
  const text = String.fromCharCode(...[0, 1, 2, 3].map((i) => magic.getUint8(i)));
  if (text !== MAGIC) refuse('it does not begin with "GGUF"');
  const version = reader.u32();
  if (version !== 2 && version !== 3)
    refuse(
      version >= 2 ** 24 ? 'its numbers are big-endian' : `it is of version ${version}, not 2 or 3`,
    );
  const tensorCount = reader.u64('the number of tensors');
  const entryCount = reader.u64('the number of metadata entries');
  if (tensorCount > MOST_ENTRIES) refuse(`it has ${tensorCount} tensors`);
  if (entryCount > MOST_ENTRIES) refuse(`it has ${entryCount} metadata entries`);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entryCount; i += 1) {
    const key = reader.text('a metadata key', LONGEST_NAME);
    if (metadata.has(key)) refuse(`the key ${JSON.stringify(key)} is there twice`);
    metadata.set(key, reader.value(key));
  }
  const found: GgufTensor[] = [];
  for (let i = 0; i < tensorCount; i += 1) found.push(tensorOf(reader, file));
  const alignment = alignmentOf(metadata, refuse);
  const start = padded(reader.position, alignment);
  const tensors = new Map<string, GgufTensor>();
  for (const tensor of found) {
    const { name, byteOffset, byteLength } = tensor;
    if (tensors.has(name)) refuse(`the tensor ${JSON.stringify(name)} is there twice`);
    if (byteOffset % alignment !== 0)
      refuse(`${name} begins at ${byteOffset}, which is not aligned to ${alignment} bytes`);
    if (start + byteOffset + byteLength > file.size)
      refuse(
        `${name} ends at ${start + byteOffset + byteLength}, behind the file's ${file.size} bytes`,
      );
    tensors.set(name, Object.freeze({ ...tensor, byteOffset: start + byteOffset }));
  }
  refuseOverlaps([...tensors.values()], refuse);
  return { metadata, tensors };
}

/** With the offset from the begin of the data. */
function tensorOf(reader: GgufReader, file: ReadOnlyFile): GgufTensor {
  const name = reader.text('the name of a tensor', LONGEST_NAME);
  const refuse = (what: string): never => {
    throw invalidGguf(file.path, `${JSON.stringify(name)} ${what}`);
  };
  const dimensions = reader.u32();
  if (dimensions < 1 || dimensions > MOST_DIMENSIONS) refuse(`has ${dimensions} dimensions`);
  const sizes = Array.from({ length: dimensions }, () => reader.u64(`a size of ${name}`));
  const id = reader.u32();
  const type = blockTypeById(id);
  if (!type)
    throw new PeftError(
      'PEFT_GGUF_TYPE',
      `gguf: ${file.path}: ${JSON.stringify(name)} is stored in type ${id}, which is not read here.`,
      { hint: `take a file in one of ${Object.keys(BLOCK_TYPES).join(', ')}` },
    );
  const count = sizes.reduce((product, size) => product * size, 1);
  const byteLength = (count / type.blockSize) * type.blockBytes;
  if (!sizes.every((size) => size > 0) || !Number.isSafeInteger(count))
    refuse(`has the shape [${sizes.join(', ')}]`);
  if (sizes[0]! % type.blockSize !== 0)
    refuse(`has rows of ${sizes[0]} values, no multiple of ${type.name}'s ${type.blockSize}`);
  const byteOffset = reader.u64(`the place of ${name}`);
  return { name, type, shape: sizes.reverse(), byteOffset, byteLength };
}

function alignmentOf(
  metadata: ReadonlyMap<string, GgufValue>,
  refuse: (what: string) => never,
): number {
  const given = metadata.get('general.alignment') ?? ALIGNMENT;
  const isValid =
    typeof given === 'number' &&
    Number.isInteger(given) &&
    given >= 1 &&
    given <= MOST_ALIGNMENT &&
    Number.isInteger(Math.log2(given));
  return isValid ? given : refuse(`general.alignment is ${JSON.stringify(given)}`);
}

function refuseOverlaps(tensors: readonly GgufTensor[], refuse: (what: string) => never): void {
  const sorted = [...tensors].sort((a, b) => a.byteOffset - b.byteOffset);
  sorted.forEach((tensor, i) => {
    const before = sorted[i - 1];
    if (before && before.byteOffset + before.byteLength > tensor.byteOffset)
      refuse(`${before.name} and ${tensor.name} share bytes`);
  });
}

/** The next multiple of `alignment`. */
export const padded = (position: number, alignment: number): number =>
  Math.ceil(position / alignment) * alignment;
