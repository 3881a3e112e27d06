/** Rotary positions, cross entropy, thin products, and rows gathered, scattered, summed, laid. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { eachRange, rowsOfPlan, type PeftKernels } from '@peft/ops';
import { register } from '../../backend/register.js';
import { EXP } from '../../backend/functions.js';
import { sizeOf, type WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { sumOverRows } from '../plain/reductions.js';
import { gatherRows, scatterAddRows } from '../plain/rows.js';
import { matrixProduct } from '../products/matrix-product.js';
import { rowsOf } from './norms.js';
import { overRow, ROW_PARTS, ROW_START, ROW_THREADS, totalText } from './row-sums.js';

const ROPE: KernelSource = {
  name: 'rope',
  inputs: ['x', 'cosines', 'sines', 'positions: i32'],
  outputs: ['y'],
  counts: ['size', 'width', 'head', 'half', 'interleaved'],
  numbers: ['direction'],
  body: `
  if (index >= size) { return; }
  let inHead = (index % width) % head;
  if (inHead >= 2u * half) { y[index] = x[index]; return; }
  let pair = select(inHead % half, inHead / 2u, interleaved == 1u);
  let isSecond = select(inHead >= half, inHead % 2u == 1u, interleaved == 1u);
  let apart = select(half, 1u, interleaved == 1u);
  let angle = u32(positions[index / width]) * half + pair;
  let c = cosines[angle];
  let s = sines[angle] * direction;
  if (isSecond) { y[index] = x[index] * c + x[index - apart] * s; }
  else { y[index] = x[index] * c - x[index + apart] * s; }`,
};

const CROSS_ENTROPY: KernelSource = {
  name: 'cross entropy',
  inputs: ['logits', 'labels: i32'],
  outputs: ['loss', 'logSumExps'],
  counts: ['rows', 'width'],
  threads: ROW_THREADS,
  declarations: ROW_PARTS + EXP,
  body: `${ROW_START}
  var largest = -3.4028234e38;
  ${overRow('largest = max(largest, logits[at]);')}
  ${totalText('largest', 'max(a, b)')}
  var sum = 0.0;
  ${overRow('sum += exp_of(logits[at] - largest);')}
  ${totalText('sum')}
  if (local == 0u && row < rows) {
    let logSumExp = log(sum) + largest;
    let label = labels[row];
    logSumExps[row] = logSumExp;
    loss[row] = select(0.0, logSumExp - logits[first + u32(max(label, 0))], label >= 0);
  }`,
};

const CROSS_ENTROPY_GRADIENT: KernelSource = {
  name: 'cross entropy gradient',
  inputs: ['logits', 'logSumExps', 'dloss', 'labels: i32'],
  outputs: ['dlogits'],
  counts: ['size', 'width'],
  declarations: EXP,
  body: `
  if (index >= size) { return; }
  let row = index / width;
  let label = labels[row];
  let own = select(0.0, 1.0, label == i32(index % width));
  dlogits[index] = select(0.0, (exp_of(logits[index] - logSumExps[row]) - own) * dloss[row], label >= 0);`,
};

/** y[rows[n]] += scale·x[n], each row named at most once. */
const ADD_ROWS: KernelSource = {
  name: 'add rows',
  inputs: ['x', 'rows: i32'],
  outputs: ['y'],
  counts: ['size', 'width'],
  numbers: ['scale'],
  body: `
  if (index >= size) { return; }
  y[u32(rows[index / width]) * width + index % width] += scale * x[index];`,
};

const COPY: KernelSource = {
  name: 'copy',
  inputs: ['x: u32'],
  outputs: ['y: u32'],
  counts: ['size'],
  body: `
  if (index < size) { y[index] = x[index]; }`,
};

/** y[places[2n+1]] = x[places[2n]]. */
const LAY: KernelSource = {
  name: 'lay rows',
  inputs: ['x', 'places: i32'],
  outputs: ['y'],
  counts: ['size', 'width'],
  body: `
  if (index >= size) { return; }
  let n = 2u * (index / width);
  let column = index % width;
  y[u32(places[n + 1u]) * width + column] = x[u32(places[n]) * width + column];`,
};

export function copyOf(backend: WebgpuBackend, x: TensorInfo): TensorInfo {
  const y = backend.make(x.shape, x.dtype);
  const size = sizeOf(x.shape);
  backend.runOver(size, COPY, [backend.block(x), backend.block(y)], [size]);
  return y;
}

/** Registers the kernels that work on rows. */
export function registerRowKernels(): void {
  register<{ positions: Int32Array; heads: number; inverse: boolean; interleaved: boolean }>(
    'PeftRope',
    ({ inputs, attributes, backend }) => {
      const { x, cos, sin } = inputs as Record<'x' | 'cos' | 'sin', TensorInfo>;
      const [rows, width] = rowsOf(x);
      const y = backend.make(x.shape);
      backend.runOver(
        rows * width,
        ROPE,
        [
          backend.block(x),
          backend.block(cos),
          backend.block(sin),
          backend.uploads.of(attributes.positions),
          backend.block(y),
        ],
        [
          rows * width,
          width,
          width / attributes.heads,
          cos.shape[1]!,
          attributes.interleaved ? 1 : 0,
        ],
        [attributes.inverse ? -1 : 1],
      );
      return y;
    },
  );
  register<{ labels: Int32Array }>('PeftCrossEntropy', ({ inputs, attributes, backend }) => {
    const logits = inputs['logits']!;
    const [rows, width] = rowsOf(logits);
    const outputs = [backend.make([rows]), backend.make([rows])];
    backend.runGroups(
      rows,
      CROSS_ENTROPY,
      [
        backend.block(logits),
        backend.uploads.of(attributes.labels),
        ...outputs.map((each) => backend.block(each)),
      ],
      [rows, width],
    );
    return outputs;
  });
  register<{ labels: Int32Array }>(
    'PeftCrossEntropyGradient',
    ({ inputs, attributes, backend }) => {
      const { logits, logSumExp, dloss } = inputs as Record<
        'logits' | 'logSumExp' | 'dloss',
        TensorInfo
      >;
      const [rows, width] = rowsOf(logits);
      const dlogits = backend.make(logits.shape);
      backend.runOver(
        rows * width,
        CROSS_ENTROPY_GRADIENT,
        [
          backend.block(logits),
          backend.block(logSumExp),
          backend.block(dloss),
          backend.uploads.of(attributes.labels),
          backend.block(dlogits),
        ],
        [rows * width, width],
      );
      return dlogits;
    },
  );
  register('PeftSumRows', ({ inputs, backend }) => {
    const x = inputs['x']!;
    return sumOverRows(backend, x, ...rowsOf(x));
  });
  register<{ rows: Int32Array }>('PeftGatherRows', ({ inputs, attributes: { rows }, backend }) => {
    const x = inputs['x']!;
    return gatherRows(backend, x, backend.uploads.of(rows), rows.length, rowsOf(x));
  });
  register<{ rows: Int32Array; size: number }>(
    'PeftScatterAddRows',
    ({ inputs, attributes: { rows, size }, backend }) => {
      const x = inputs['x']!;
      const [given, width] = rowsOf(x);
      return scatterAddRows(backend, x, backend.uploads.of(rows), [given, width], [size, width]);
    },
  );
  register<{ rows: readonly Int32Array[]; scales: readonly number[] }>(
    'PeftAddThinProducts',
    ({ inputs, attributes: { rows, scales }, backend }) => {
      const x = inputs['x']!;
      const sum = copyOf(backend, inputs['y']!);
      const [, width] = rowsOf(sum);
      rows.forEach((own, p) => {
        const places = backend.uploads.of(own);
        const gathered = gatherRows(backend, x, places, own.length, rowsOf(x));
        const narrow = matrixProduct(backend, gathered, inputs[`a${p}`]!, false, true);
        const wide = matrixProduct(backend, narrow, inputs[`b${p}`]!, false, true);
        backend.runOver(
          own.length * width,
          ADD_ROWS,
          [backend.block(wide), places, backend.block(sum)],
          [own.length * width, width],
          [scales[p]!],
        );
        for (const { dataId } of [gathered, narrow, wide]) backend.disposeData(dataId);
      });
      return sum;
    },
  );
  register<PeftKernels['PeftLayRows']['attributes']>(
    'PeftLayRows',
    ({ inputs, attributes: plan, backend }) => {
      const { x, added } = inputs as Partial<Record<'x' | 'added', TensorInfo>>;
      const [, width] = rowsOf((x ?? added)!);
      const shape = [plan.size, width];
      const isOwn = plan.isInPlace && plan.moves.length === 0 && backend.refCount(x!.dataId) === 1;
      const y = isOwn ? backend.reshaped(x!, shape) : backend.make(shape);
      const lay = (from: TensorInfo, pairs: readonly number[]): void => {
        if (pairs.length === 0) return;
        const size = (pairs.length / 2) * width;
        const places = backend.uploads.of(Int32Array.from(pairs));
        backend.runOver(size, LAY, [backend.block(from), places, backend.block(y)], [size, width]);
      };
      if (!isOwn && x) {
        const order = rowsOfPlan({ ...plan, additions: new Int32Array(0) }, x.shape[0]!);
        lay(
          x,
          [...order].flatMap((row, place) => (row < 0 ? [] : [row, place])),
        );
      }
      if (added) lay(added, placesOf(plan.additions));
      return y;
    },
  );
}

/** [from, to] of each row of ranges. */
function placesOf(ranges: Int32Array): number[] {
  const pairs: number[] = [];
  eachRange(ranges, (from, to, count) => {
    for (let n = 0; n < count; n += 1) pairs.push(from + n, to + n);
  });
  return pairs;
}
