/** How a kernel reads an element of a stored weight, by format. */
import { codeBook } from '@peft/ops';
import type { Block } from '../gpu/buffer-pool.js';
import type { StoredWeight, WeightChunk } from './stored-weight.js';

/** What a kernel needs beside its own buffers to read a weight. */
export interface Decoder {
  /** Names one of the ways to read. */
  readonly name: string;
  readonly inputs: readonly string[];
  readonly counts: readonly string[];
  readonly numbers: readonly string[];
  /** `fn element(row: u32, column: u32) -> f32` of the chunk. */
  readonly declarations: string;
}

const COUNTS = [
  'weightColumns',
  'weightBlock',
  'weightRow',
  'firstBlock',
  'nestedBlock',
  'nestedOffset',
];
const at = 'let e = row * p_weightColumns() + column;';
const fn = (body: string): string => `fn element(row: u32, column: u32) -> f32 { ${body} }`;

const plain = (name: string, type: string, value: string): Decoder => ({
  name,
  inputs: [`words: ${type}`],
  counts: COUNTS,
  numbers: [],
  declarations: fn(`${at} return ${value};`),
});

/** @param scale of `block`, in WGSL. */
const fourBit = (name: string, inputs: readonly string[], scale: string): Decoder => ({
  name,
  inputs: ['words: u32', ...inputs],
  counts: COUNTS,
  numbers: Array.from({ length: 16 }, (_, code) => `code${code}`),
  declarations: fn(`
  ${at}
  let byte = (words[e >> 3u] >> (((e >> 1u) & 3u) * 8u)) & 255u;
  let code = select(byte >> 4u, byte & 15u, (e & 1u) == 1u);
  let block = p_firstBlock() + e / p_weightBlock();
  let scale = ${scale};
  return parameters.numbers[code >> 2u][code & 3u] * scale;`),
});

const DECODERS = Object.freeze({
  f32: plain('f32', 'f32', 'words[e]'),
  bf16: plain(
    'bf16',
    'u32',
    'bitcast<f32>(((words[e >> 1u] >> ((e & 1u) * 16u)) & 0xffffu) << 16u)',
  ),
  f16: plain('f16', 'u32', 'unpack2x16float(words[e >> 1u])[e & 1u]'),
  int8: {
    name: 'int8',
    inputs: ['words: u32', 'absmax'],
    counts: COUNTS,
    numbers: [],
    declarations: fn(`
  ${at}
  let code = extractBits(bitcast<i32>(words[e >> 2u]), (e & 3u) * 8u, 8u);
  return f32(code) * (absmax[p_weightRow() + row] * ${Math.fround(1 / 127)});`),
  },
  fourBit: fourBit('4 bit', ['absmax'], 'absmax[block]'),
  nested: fourBit(
    '4 bit, nested',
    ['scaleCodes: u32', 'scaleMap', 'scaleMaxima'],
    `scaleMap[(scaleCodes[block >> 2u] >> ((block & 3u) * 8u)) & 255u] *
    scaleMaxima[block / p_nestedBlock()] + bitcast<f32>(p_nestedOffset())`,
  ),
});

export function decoderOf({ format, scales }: StoredWeight): Decoder {
  if (format === 'nf4' || format === 'fp4')
    return scales?.kind === 'nested' ? DECODERS.nested : DECODERS.fourBit;
  return DECODERS[format];
}

/** What the decoder is told of one chunk: buffers, counts and numbers, in its order. */
export function decoderArguments(
  weight: StoredWeight,
  { block, firstRow }: WeightChunk,
): {
  readonly blocks: readonly Block[];
  readonly counts: readonly number[];
  readonly numbers: readonly number[];
} {
  const { columns, blockSize, scales, format } = weight;
  const nested = scales?.kind === 'nested' ? scales : undefined;
  return {
    blocks: [
      block,
      ...(scales?.kind === 'plain' ? [scales.absmax] : []),
      ...(nested ? [nested.codes, nested.map, nested.maxima] : []),
    ],
    counts: [
      columns,
      blockSize,
      firstRow,
      (firstRow * columns) / blockSize,
      nested?.blockSize ?? 1,
      new Uint32Array(Float32Array.of(nested?.offset ?? 0).buffer)[0]!,
    ],
    numbers: format === 'nf4' || format === 'fp4' ? codeBook(format) : [],
  };
}
