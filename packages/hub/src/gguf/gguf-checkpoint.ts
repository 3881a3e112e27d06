/** A GGUF file as a checkpoint: its tensors under Hugging Face's names, in its order, as float32. */
import { PeftError } from '@peft/errors';
import type { StoredBlocks, TensorSource } from '@peft/ops';
import { checkSpan, storeOf, type TensorStore } from '../tensor-store.js';
import { GGUF_FAMILIES } from './families/gguf-families.js';
import { namesOf, type GgufFamily, type GgufForm } from './families/gguf-family.js';
import { fromPairs } from './families/head-pairs.js';
import { invalidGguf } from './gguf-error.js';
import { GgufFields } from './gguf-fields.js';
import type { GgufTensor } from './gguf-header.js';
import { openGguf, type GgufFile } from './open-gguf.js';

/** Tensors that say how the positions turn: part of the config. */
const TABLES: readonly string[] = [
  'rope_freqs.weight',
  'rope_factors_long.weight',
  'rope_factors_short.weight',
];

/**
 * Opens a GGUF file as the checkpoint that it was made of. The caller closes it.
 * @throws PEFT_GGUF_FAMILY for a family that is not read here, PEFT_GGUF_METADATA, and
 *   what `openGguf` throws
 */
export function openGgufCheckpoint(path: string): TensorStore {
  const file = openGguf(path);
  try {
    const family = ggufFamily(file);
    const fields = new GgufFields(file);
    const names = new Map(
      namesOf(family, blockCount(file)).map((name) => [name.gguf, name] as const),
    );
    const heads = fields.number(`${family.architecture}.attention.head_count`);
    const keyValueHeads =
      fields.optionalNumber(`${family.architecture}.attention.head_count_kv`) ?? heads;
    const sources = new Map<string, TensorSource>();
    const others: string[] = [];
    for (const tensor of file.tensors.values()) {
      const name = names.get(tensor.name);
      if (name)
        sources.set(
          name.huggingFace,
          sourceOf(file, tensor, name.huggingFace, name.form, { heads, keyValueHeads }),
        );
      else if (!TABLES.includes(tensor.name)) others.push(tensor.name);
    }
    const warnings = others.length
      ? [
          `${file.path} holds ${others.length} tensors that ${family.architecture} does not have, ` +
            `which are left out: ${others.slice(0, 5).join(', ')}${others.length > 5 ? ', …' : ''}.`,
        ]
      : [];
    return storeOf(sources, {}, () => file.close(), warnings);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The family of a model's file. @throws PEFT_GGUF_FAMILY */
export function ggufFamily(file: Pick<GgufFile, 'path' | 'metadata'>): GgufFamily {
  const fields = new GgufFields(file);
  const type = fields.optionalText('general.type') ?? 'model';
  const architecture = fields.text('general.architecture');
  const family = GGUF_FAMILIES.find((each) => each.architecture === architecture);
  if (family && type === 'model') return family;
  throw new PeftError(
    'PEFT_GGUF_FAMILY',
    type === 'model'
      ? `gguf: ${file.path}: there is no family ${JSON.stringify(architecture)}.`
      : `gguf: ${file.path} holds an ${type}, not a model.`,
    { hint: `read are ${GGUF_FAMILIES.map((each) => each.architecture).join(', ')}` },
  );
}

/** Blocks of the model. @throws PEFT_GGUF_METADATA, PEFT_GGUF_INVALID for more than there can be */
export function blockCount(file: Pick<GgufFile, 'path' | 'metadata' | 'tensors'>): number {
  const count = new GgufFields(file).number(`${ggufFamily(file).architecture}.block_count`);
  if (Number.isInteger(count) && count >= 0 && count <= file.tensors.size) return count;
  throw invalidGguf(file.path, `it says ${count} blocks and holds ${file.tensors.size} tensors`);
}

interface HeadCounts {
  readonly heads: number;
  readonly keyValueHeads: number;
}

/** Read in whole blocks; one that is in another order in whole. */
function sourceOf(
  file: GgufFile,
  tensor: GgufTensor,
  name: string,
  form: GgufForm | undefined,
  heads: HeadCounts,
): TensorSource {
  const { type } = tensor;
  const count = tensor.shape.reduce((product, size) => product * size, 1);
  const total = 4 * count;
  const shape = form === 'transposed' ? [...tensor.shape].reverse() : tensor.shape;
  const isPlain = form === undefined || form === 'plus-one';
  return Object.freeze<TensorSource>({
    name,
    dtype: 'F32',
    shape: Object.freeze([...shape]),
    byteLength: total,
    blocks: storedBlocks(file, tensor, form, heads),
    read(start = 0, length = total - start) {
      checkSpan(name, start, length, total);
      const blockBytes = 4 * type.blockSize;
      const first = isPlain ? Math.floor(start / blockBytes) : 0;
      const last = isPlain ? Math.ceil((start + length) / blockBytes) : count / type.blockSize;
      refuseUneven(file, tensor, form, heads);
      const values = inForm(file.values(tensor, first, last - first), tensor, form, heads);
      const skipped = start - first * blockBytes;
      return new Uint8Array(values.buffer, values.byteOffset + skipped, length);
    },
  });
}

/** Those of a matrix whose rows are rows of the file; in another order heads are read in whole. */
function storedBlocks(
  file: GgufFile,
  tensor: GgufTensor,
  form: GgufForm | undefined,
  heads: HeadCounts,
): StoredBlocks | undefined {
  const { type, shape } = tensor;
  const isOrdered = form === undefined;
  const isPaired = form === 'query-pairs' || form === 'key-pairs';
  if ((!isOrdered && !isPaired) || shape.length !== 2) return undefined;
  const rowBytes = (shape[1]! / type.blockSize) * type.blockBytes;
  return {
    type: type.name,
    read(first = 0, rows = shape[0]! - first) {
      if (isOrdered) return file.bytes(tensor, first * rowBytes, rows * rowBytes);
      refuseUneven(file, tensor, form, heads);
      const count = form === 'query-pairs' ? heads.heads : heads.keyValueHeads;
      const headRows = shape[0]! / count;
      const firstHead = Math.floor(first / headRows);
      const inHeads = (Math.ceil((first + rows) / headRows) - firstHead) * headRows;
      const start = firstHead * headRows;
      const whole = file.bytes(tensor, start * rowBytes, inHeads * rowBytes);
      return fromPairs(whole, inHeads / headRows, inHeads).subarray(
        (first - start) * rowBytes,
        (first - start + rows) * rowBytes,
      );
    },
  };
}

/** Rows that are no pairs of so many heads cannot be put in order. */
function refuseUneven(
  { path }: GgufFile,
  { name, shape }: GgufTensor,
  form: GgufForm | undefined,
  { heads, keyValueHeads }: HeadCounts,
): void {
  if (form !== 'query-pairs' && form !== 'key-pairs') return;
  const count = form === 'query-pairs' ? heads : keyValueHeads;
  if (!Number.isInteger(count) || count < 1 || shape[0]! % (2 * count) !== 0)
    throw invalidGguf(path, `${name} has ${shape[0]} rows, no pairs of ${count} heads`);
}

function inForm(
  values: Float32Array,
  { shape }: GgufTensor,
  form: GgufForm | undefined,
  { heads, keyValueHeads }: HeadCounts,
): Float32Array {
  const [rows, columns = 1] = shape;
  switch (form) {
    case 'query-pairs':
      return fromPairs(values, heads, rows!);
    case 'key-pairs':
      return fromPairs(values, keyValueHeads, rows!);
    case 'plus-one':
      return values.map((value) => value - 1);
    case 'transposed': {
      const out = new Float32Array(values.length);
      for (let row = 0; row < rows!; row += 1)
        for (let column = 0; column < columns; column += 1)
          out[column * rows! + row] = values[row * columns + column]!;
      return out;
    }
    default:
      return values;
  }
}
