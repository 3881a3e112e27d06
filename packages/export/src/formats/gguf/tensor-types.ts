/**
 * In which type each tensor is stored, as llama.cpp's quantizer chooses it without an importance
 * matrix (llama-quant.cpp): vectors and tables of positions in float32, the output layer finer than
 * the rest, and in the mixed types `…_M` some values and down projections finer, too.
 */
import { BLOCK_TYPES, type BlockType } from '@peft/hub';

/** What a file is called after: the type of most of its weights. */
interface FileType {
  /** `general.file_type`. */
  readonly id: number;
  readonly most: BlockType;
  /** Of the output layer. */
  readonly output: BlockType;
  /** Of values (fused ones, too) and down projections in blocks that need more, where the type is a mixed one. */
  readonly more?: BlockType;
}

const { F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K } = BLOCK_TYPES;

export const FILE_TYPES = Object.freeze({
  Q8_0: { id: 7, most: Q8_0, output: Q8_0 },
  F32: { id: 0, most: F32, output: F32 },
  F16: { id: 1, most: F16, output: F16 },
  BF16: { id: 32, most: BF16, output: BF16 },
  Q4_0: { id: 2, most: Q4_0, output: Q6_K },
  Q5_0: { id: 8, most: Q5_0, output: Q6_K },
  Q4_K_M: { id: 15, most: Q4_K, output: Q6_K, more: Q6_K },
  Q5_K_M: { id: 17, most: Q5_K, output: Q6_K, more: Q6_K },
  Q6_K: { id: 18, most: Q6_K, output: Q6_K },
} as const satisfies Readonly<Record<string, FileType>>);

export type FileTypeName = keyof typeof FILE_TYPES;

/** Where rows are no whole number of blocks. */
const NARROW: ReadonlyMap<BlockType, BlockType> = new Map([
  [Q4_K, Q5_0],
  [Q5_K, Q5_1],
  [Q6_K, Q8_0],
]);

/** What is asked of a tensor. */
export interface TensorPlace {
  /** GGUF's name. */
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * The type of a tensor.
 * @param blocks of the model.
 * @param isTied the embedding's table is the output layer, too.
 */
export function tensorType(
  { name, shape }: TensorPlace,
  type: FileTypeName,
  blocks: number,
  isTied: boolean,
): BlockType {
  const isTable = shape.length > 1 && name.endsWith('.weight') && name !== 'position_embd.weight';
  if (!isTable || /_norm\.weight$/.test(name)) return F32;
  const file: FileType = FILE_TYPES[type];
  const width = shape.at(-1)!;
  const isOutput = name === 'output.weight' || (isTied && name === 'token_embd.weight');
  if (isOutput && file.most.blockSize > 1)
    return fitting(width % 256 === 0 ? file.output : Q8_0, width);
  return fitting(chosen(name, file, blocks), width);
}

function chosen(name: string, file: FileType, blocks: number): BlockType {
  const [, block, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? [];
  const isFine = part === 'attn_v' || part === 'attn_qkv' || part === 'ffn_down';
  return isFine && needsMore(Number(block), blocks) ? (file.more ?? file.most) : file.most;
}

/** The first and the last eighth, and every third between them. */
const needsMore = (block: number, blocks: number): boolean => {
  const eighth = Math.floor(blocks / 8);
  return block < eighth || block >= Math.floor((7 * blocks) / 8) || (block - eighth) % 3 === 2;
};

function fitting(type: BlockType, width: number): BlockType {
  if (width % type.blockSize === 0) return type;
  const narrow = NARROW.get(type);
  return narrow && width % narrow.blockSize === 0 ? narrow : F16;
}
