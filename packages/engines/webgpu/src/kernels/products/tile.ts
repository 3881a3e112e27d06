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
  const [perRow, perColumn] = [tile.rows / 16, tile.columns / 16];
  const sums = (body: (i: number, j: number) => string) =>
    Array.from({ length: perRow }, (_, i) =>
      Array.from({ length: perColumn }, (__, j) => body(i, j)).join('\n'),
    ).join('\n');
  const load = (
    side: 'a' | 'b',
    extent: number,
    limit: string,
    outer: string,
    value: string,
    isDeep: boolean,
  ) => {
    const steps = (extent * DEPTH) / 256;
    return Array.from({ length: steps }, (_, step) => {
      const at = `(local + ${256 * step}u)`;
      const [across, k] = isDeep
        ? [`${at} / ${DEPTH}u`, `${at} % ${DEPTH}u`]
        : [`${at} % ${extent}u`, `${at} / ${extent}u`];
      return `
    { let across = ${across}; let deep = ${k};
      let ${outer} = ${side === 'a' ? 'firstRow' : 'firstColumn'} + across; let k = firstK + deep;
      var value = 0.0;
      if (${outer} < ${limit} && k < depth) { value = ${value}; }
      tile_${side}[deep * ${extent}u + across] = value; }`;
    }).join('');
  };
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
  ${sums((i, j) => {
    const value = product.start
      ? `{ let m = firstRow + threadRow + ${16 * i}u; let n = firstColumn + threadColumn + ${16 * j}u; if (m < rows && n < columns) { sum${i}_${j} = ${product.start}; } }`
      : '';
    return `var sum${i}_${j} = 0.0; ${value}`;
  })}
  for (var firstK = 0u; firstK < depth; firstK += ${DEPTH}u) {
    ${load('a', tile.rows, 'rows', 'm', product.a, product.isDeepA)}
    ${load('b', tile.columns, 'columns', 'n', product.b, product.isDeepB)}
    workgroupBarrier();
    let steps = min(${DEPTH}u, depth - firstK);
    for (var k = 0u; k < steps; k++) {
      ${Array.from({ length: perRow }, (_, i) => `let a${i} = tile_a[k * ${tile.rows}u + threadRow + ${16 * i}u];`).join(' ')}
      ${Array.from({ length: perColumn }, (_, j) => `let b${j} = tile_b[k * ${tile.columns}u + threadColumn + ${16 * j}u];`).join(' ')}
      ${sums((i, j) => `sum${i}_${j} = fma(a${i}, b${j}, sum${i}_${j});`)}
    }
    workgroupBarrier();
  }
  ${sums(
    (i, j) =>
      `{ let m = firstRow + threadRow + ${16 * i}u; let n = firstColumn + threadColumn + ${16 * j}u; if (m < rows && n < columns) { let sum = sum${i}_${j}; ${product.store} } }`,
  )}`,
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
