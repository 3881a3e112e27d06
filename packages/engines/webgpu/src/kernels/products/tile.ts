/**
 * The product of two matrices by tiles, in WGSL: y[m, n] = Σ_k a(m, k)·b(n, k), k in order and one
 * sum for each element, so that it depends on no other row, nor on the size of the tile.
 */
import type { KernelSource } from '../../gpu/kernel-source.js';

/** Elements of the result that a workgroup of 256 threads computes. */
export interface TileSize {
  readonly rows: number;
  readonly columns: number;
}

/** Elements of k in one step. */
const DEPTH = 16;

/** Tiles by how many rows and columns there are, thin products having thin tiles. */
export const tileFor = (rows: number, columns: number): TileSize => ({
  rows: rows <= 16 ? 16 : 64,
  columns: columns <= 16 ? 16 : 64,
});

/** What surrounds the tiles of a product. */
export interface TiledProduct {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Beside `rows`, `columns` and `depth`, which come first. */
  readonly counts: readonly string[];
  readonly numbers?: readonly string[];
  readonly declarations?: string;
  /** Statements before the first tile; `group.z` does not exist, so `batch` is made here if needed. */
  readonly before?: string;
  /** WGSL of a(m, k) and b(n, k), inside their bounds. */
  readonly a: string;
  readonly b: string;
  /** Whether neighbouring k (else neighbouring m or n) lie beside each other in memory. */
  readonly isDeepA: boolean;
  readonly isDeepB: boolean;
  /** WGSL of what a sum starts from at (m, n). Default 0. */
  readonly start?: string;
  /** Statements that store `sum` at (m, n). */
  readonly store: string;
}

export function tiledSource(product: TiledProduct, tile: TileSize): KernelSource {
  // sums of a thread: a vector of columns for each of its rows
  const [perRow, perColumn] = [tile.rows / 16, tile.columns / 16];
  const vector = perColumn === 4 ? 'vec4<f32>' : 'f32';
  const overRows = (body: (i: number) => string) =>
    Array.from({ length: perRow }, (_, i) => body(i)).join('\n      ');
  const valuesAt = (array: string, extent: number, each: number, first: string) =>
    each === 1
      ? `${array}[k * ${extent}u + ${first}]`
      : `vec4(${[0, 1, 2, 3].map((n) => `${array}[k * ${extent}u + ${first} + ${16 * n}u]`).join(', ')})`;
  const load = (
    side: 'a' | 'b',
    extent: number,
    limit: string,
    outer: string,
    value: string,
    isDeep: boolean,
  ) => `
    for (var at = local; at < ${extent * DEPTH}u; at += 256u) {
      let across = ${isDeep ? `at / ${DEPTH}u` : `at % ${extent}u`};
      let deep = ${isDeep ? `at % ${DEPTH}u` : `at / ${extent}u`};
      let ${outer} = ${side === 'a' ? 'firstRow' : 'firstColumn'} + across;
      let k = firstK + deep;
      var value = 0.0;
      if (${outer} < ${limit} && k < depth) { value = ${value}; }
      tile_${side}[deep * ${extent}u + across] = value;
    }`;
  /** Statements at each of the thread's places (m, n), `sum` being row i's there. */
  const overPlaces = (i: number, body: (sum: string) => string) => `
  for (var j = 0u; j < ${perColumn}u; j++) {
    let m = firstRow + threadRow + ${16 * i}u;
    let n = firstColumn + threadColumn + 16u * j;
    if (m < rows && n < columns) { ${body(perColumn === 1 ? `sum${i}` : `sum${i}[j]`)} }
  }`;
  return {
    name: `${product.name} ${tile.rows}x${tile.columns}`,
    inputs: product.inputs,
    outputs: product.outputs,
    counts: ['rows', 'columns', 'depth', 'tilesAcross', 'tilesDown', ...product.counts],
    numbers: product.numbers,
    declarations: `
var<workgroup> tile_a: array<f32, ${tile.rows * DEPTH}>;
var<workgroup> tile_b: array<f32, ${tile.columns * DEPTH}>;
${product.declarations ?? ''}`,
    body: `
  let number = group.y * groups.x + group.x;
  let firstColumn = (number % tilesAcross) * ${tile.columns}u;
  let firstRow = ((number / tilesAcross) % tilesDown) * ${tile.rows}u;
  let batch = number / (tilesAcross * tilesDown);
  let threadRow = local / 16u;
  let threadColumn = local % 16u;
  ${product.before ?? ''}
  ${overRows((i) => `var sum${i} = ${vector}();`)}
  ${product.start ? overRows((i) => overPlaces(i, (sum) => `${sum} = ${product.start};`)) : ''}
  for (var firstK = 0u; firstK < depth; firstK += ${DEPTH}u) {
    ${load('a', tile.rows, 'rows', 'm', product.a, product.isDeepA)}
    ${load('b', tile.columns, 'columns', 'n', product.b, product.isDeepB)}
    workgroupBarrier();
    let steps = min(${DEPTH}u, depth - firstK);
    for (var k = 0u; k < steps; k++) {
      let b = ${valuesAt('tile_b', tile.columns, perColumn, 'threadColumn')};
      let a = ${valuesAt('tile_a', tile.rows, perRow, 'threadRow')};
      ${overRows((i) => `sum${i} = fma(${vector}(${perRow === 1 ? 'a' : `a[${i}]`}), b, sum${i});`)}
    }
    workgroupBarrier();
  }
  ${overRows((i) => overPlaces(i, (value) => `let sum = ${value}; ${product.store}`))}`,
  };
}

/** The first five counts of a tiled product, and its workgroups. */
export function tiledCounts(
  rows: number,
  columns: number,
  depth: number,
  tile: TileSize,
  batch = 1,
): { readonly counts: number[]; readonly groups: number } {
  const [across, down] = [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows)];
  return { counts: [rows, columns, depth, across, down], groups: across * down * batch };
}
