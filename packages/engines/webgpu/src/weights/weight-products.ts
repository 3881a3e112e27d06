/** Products with a frozen weight as it is stored, rows of it, and all of it in float32. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { ActivationName } from '@peft/ops';
import { activationText, ACTIVATION_FUNCTIONS } from '../kernels/activation-formulas.js';
import { tiledCounts, tiledSource, tileFor, type TileSize } from '../kernels/products/tile.js';
import { fill } from '../kernels/plain/rows.js';
import type { WebgpuBackend } from '../backend/webgpu-backend.js';
import type { Block } from '../gpu/buffer-pool.js';
import type { KernelSource } from '../gpu/kernel-source.js';
import { decoderArguments, decoderOf, type Decoder } from './decoders.js';
import type { StoredWeight } from './stored-weight.js';

/** What a product ends with. */
export interface ProductEnd {
  readonly bias?: TensorInfo;
  readonly kind?: ActivationName;
  /** The sums before the activation, `[N, out]`. */
  readonly keepSums?: boolean;
}

const SOURCES = new Map<string, KernelSource>();
const known = (key: string, make: () => KernelSource): KernelSource => {
  let source = SOURCES.get(key);
  if (!source) {
    source = make();
    SOURCES.set(key, source);
  }
  return source;
};

/**
 * @param byRows the result's columns are the rows of the stored matrix; else they are its columns,
 *   and chunks add up.
 */
function productSource(
  decoder: Decoder,
  byRows: boolean,
  { bias, kind, keepSums }: { bias: boolean; kind?: ActivationName; keepSums: boolean },
  goesOn: boolean,
  tile: TileSize,
): KernelSource {
  const key = ['weight', decoder.name, byRows, bias, kind, keepSums, goesOn].join(' ');
  return known(`${key} ${tile.rows} ${tile.columns}`, () =>
    tiledSource(
      {
        name: key,
        inputs: ['x', ...decoder.inputs, ...(bias ? ['bias'] : [])],
        outputs: ['y', ...(keepSums ? ['sums'] : [])],
        counts: [...decoder.counts, 'widthX', 'startX', 'widthY', 'startY'],
        numbers: decoder.numbers,
        declarations: `${decoder.declarations}\n${kind ? ACTIVATION_FUNCTIONS : ''}`,
        a: 'x[m * widthX + startX + k]',
        b: byRows ? 'element(n, k)' : 'element(k, n)',
        isDeepA: true,
        isDeepB: byRows,
        start: goesOn ? 'y[m * widthY + startY + n]' : undefined,
        store: `
        let place = m * widthY + startY + n;
        let z = sum${bias ? ' + bias[startY + n]' : ''};
        ${keepSums ? 'sums[place] = z;' : ''}
        y[place] = ${kind ? activationText(kind, 'z') : 'z'};`,
      },
      tile,
    ),
  );
}

/**
 * x·Wᵀ (`forward`) or x·W of x `[N, …]`, with bias and activation where the product ends with them.
 */
export function weightProduct(
  backend: WebgpuBackend,
  x: TensorInfo,
  weight: StoredWeight,
  forward: boolean,
  { bias, kind, keepSums = false }: ProductEnd = {},
): { readonly y: TensorInfo; readonly sums?: TensorInfo } {
  const byRows = forward !== weight.transposed;
  const [rows, widthX] = x.shape as [number, number];
  const widthY = byRows ? weight.rows : weight.columns;
  const decoder = decoderOf(weight);
  const last = weight.chunks.length - 1;
  const y = backend.make([rows, widthY]);
  const sums = keepSums ? backend.make([rows, widthY]) : undefined;
  weight.chunks.forEach((chunk, n) => {
    const columns = byRows ? chunk.rows : weight.columns;
    const depth = byRows ? weight.columns : chunk.rows;
    // where chunks add up, only the last one ends the product
    const ends = byRows || n === last;
    const tile = tileFor(rows, columns);
    const { counts, groups } = tiledCounts(rows, columns, depth, tile);
    const reads = decoderArguments(weight, chunk);
    backend.runGroups(
      groups,
      productSource(
        decoder,
        byRows,
        {
          bias: ends && bias !== undefined,
          kind: ends ? kind : undefined,
          keepSums: ends && keepSums,
        },
        !byRows && n > 0,
        tile,
      ),
      [
        backend.block(x),
        ...reads.blocks,
        ...(ends && bias ? [backend.block(bias)] : []),
        backend.block(y),
        ...(ends && sums ? [backend.block(sums)] : []),
      ],
      [
        ...counts,
        ...reads.counts,
        widthX,
        byRows ? 0 : chunk.firstRow,
        widthY,
        byRows ? chunk.firstRow : 0,
      ],
      reads.numbers,
    );
  });
  return { y, sums };
}

/** W[ids[n]] of the logical rows, `[N, in]`. */
export function weightRows(
  backend: WebgpuBackend,
  weight: StoredWeight,
  ids: Block,
  count: number,
): TensorInfo {
  const width = weight.transposed ? weight.rows : weight.columns;
  const y = backend.make([count, width]);
  const decoder = decoderOf(weight);
  const source = known(`rows ${decoder.name} ${weight.transposed}`, () => ({
    name: `weight rows ${decoder.name}${weight.transposed ? ' turned' : ''}`,
    inputs: [...decoder.inputs, 'ids: i32'],
    outputs: ['y'],
    counts: ['size', 'width', 'chunkRows', ...decoder.counts],
    numbers: decoder.numbers,
    declarations: decoder.declarations,
    body: `
  if (index >= size) { return; }
  let id = u32(ids[index / width]);
  let column = index % width;
  let row = ${weight.transposed ? 'column' : 'id'};
  if (row >= weightRow && row < weightRow + chunkRows) {
    y[index] = element(row - weightRow, ${weight.transposed ? 'id' : 'column'});
  }`,
  }));
  for (const chunk of weight.chunks) {
    const reads = decoderArguments(weight, chunk);
    backend.runOver(
      count * width,
      source,
      [...reads.blocks, ids, backend.block(y)],
      [count * width, width, chunk.rows, ...reads.counts],
      reads.numbers,
    );
  }
  return y;
}

/** The logical matrix in float32. */
export function weightMatrix(backend: WebgpuBackend, weight: StoredWeight): TensorInfo {
  const { rows, columns, transposed } = weight;
  if (rows * columns === 0) return fill(backend, transposed ? [columns, rows] : [rows, columns], 0);
  const y = backend.make(transposed ? [columns, rows] : [rows, columns]);
  const decoder = decoderOf(weight);
  const source = known(`matrix ${decoder.name} ${transposed}`, () => ({
    name: `weight matrix ${decoder.name}${transposed ? ' turned' : ''}`,
    inputs: decoder.inputs,
    outputs: ['y'],
    counts: ['size', 'allRows', ...decoder.counts],
    numbers: decoder.numbers,
    declarations: decoder.declarations,
    body: `
  if (index >= size) { return; }
  let row = index / weightColumns;
  let column = index % weightColumns;
  y[${transposed ? 'column * allRows + weightRow + row' : 'weightRow * weightColumns + index'}] = element(row, column);`,
  }));
  for (const chunk of weight.chunks) {
    const reads = decoderArguments(weight, chunk);
    const size = chunk.rows * columns;
    backend.runOver(
      size,
      source,
      [...reads.blocks, backend.block(y)],
      [size, rows, ...reads.counts],
      reads.numbers,
    );
  }
  return y;
}
