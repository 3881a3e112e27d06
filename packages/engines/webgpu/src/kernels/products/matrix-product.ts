/** tfjs's product of matrices, one or a batch of them, either factor transposed. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { backend_util } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { register, requireFloat } from '../../backend/register.js';
import { sizeOf, type WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { tiledCounts, tiledSource, tileFor, type TileSize } from './tile.js';

const SOURCES = new Map<string, KernelSource>();

function sourceOf(transposeA: boolean, transposeB: boolean, tile: TileSize): KernelSource {
  const key = [transposeA, transposeB, tile.rows, tile.columns].join();
  const known = SOURCES.get(key);
  if (known) return known;
  const source = tiledSource(
    {
      name: `product${transposeA ? ' aT' : ''}${transposeB ? ' bT' : ''}`,
      inputs: ['a', 'b'],
      outputs: ['y'],
      counts: ['batchesA', 'batchesB', 'sizeA', 'sizeB'],
      before: `
  let startA = (batch % batchesA) * sizeA;
  let startB = (batch % batchesB) * sizeB;`,
      a: transposeA ? 'a[startA + k * rows + m]' : 'a[startA + m * depth + k]',
      b: transposeB ? 'b[startB + n * depth + k]' : 'b[startB + k * columns + n]',
      isDeepA: !transposeA,
      isDeepB: transposeB,
      store: 'y[(batch * rows + m) * columns + n] = sum;',
    },
    tile,
  );
  SOURCES.set(key, source);
  return source;
}

/** op(a)·op(b) of `[…, rows, depth]` and `[…, depth, columns]`. */
export function matrixProduct(
  backend: WebgpuBackend,
  a: TensorInfo,
  b: TensorInfo,
  transposeA = false,
  transposeB = false,
): TensorInfo {
  requireFloat('BatchMatMul', a, b);
  const [rows, depth] = (
    transposeA ? [a.shape.at(-1), a.shape.at(-2)] : [a.shape.at(-2), a.shape.at(-1)]
  ) as [number, number];
  const columns = b.shape.at(transposeB ? -2 : -1)!;
  const outer = backend_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  for (const { shape } of [a, b]) requireTrailing(shape.slice(0, -2), outer);
  const y = backend.make([...outer, rows, columns]);
  const batches = sizeOf(outer);
  const tile = tileFor(rows, columns);
  const { counts, groups } = tiledCounts(rows, columns, depth, tile, batches);
  backend.runGroups(
    groups,
    sourceOf(transposeA, transposeB, tile),
    [backend.block(a), backend.block(b), backend.block(y)],
    [
      ...counts,
      Math.max(1, sizeOf(a.shape.slice(0, -2))),
      Math.max(1, sizeOf(b.shape.slice(0, -2))),
      rows * depth,
      columns * depth,
    ],
  );
  return y;
}

/** Batches are counted from the last axis on; one matrix serves all. */
function requireTrailing(own: readonly number[], outer: readonly number[]): void {
  if (sizeOf(own) === 1 || own.every((size, n) => size === outer[outer.length - own.length + n]))
    return;
  throw new PeftError(
    'PEFT_WEBGPU_SHAPE',
    `webgpu: batches of [${own.join(', ')}] matrices are not broadcast to [${outer.join(', ')}].`,
    { hint: 'tile the smaller one' },
  );
}

export function registerProducts(): void {
  register<{ transposeA: boolean; transposeB: boolean }>(
    'BatchMatMul',
    ({ inputs, attributes: { transposeA, transposeB }, backend }) => {
      const { a, b } = inputs as Record<'a' | 'b', TensorInfo>;
      return matrixProduct(backend, a, b, transposeA, transposeB);
    },
  );
}
