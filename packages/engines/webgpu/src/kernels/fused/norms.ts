/** Layer norm and RMS norm with their gradients, a workgroup for each row. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { register } from '../../backend/register.js';
import { sizeOf, type WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { sumOverRows } from '../plain/reductions.js';
import { overRow, ROW_PARTS, ROW_START, ROW_THREADS, totalText } from './row-sums.js';

const shared = { threads: ROW_THREADS, declarations: ROW_PARTS };

const layerNormSource = (hasBeta: boolean): KernelSource => ({
  ...shared,
  name: `layer norm${hasBeta ? '' : ' without bias'}`,
  inputs: ['x', 'gamma', ...(hasBeta ? ['beta'] : [])],
  outputs: ['y', 'means', 'inverseStds'],
  counts: ['rows', 'width'],
  numbers: ['epsilon'],
  body: `${ROW_START}
  var mean = 0.0;
  ${overRow('mean += x[at];')}
  ${totalText('mean')}
  mean /= f32(width);
  var variance = 0.0;
  ${overRow('let d = x[at] - mean; variance += d * d;')}
  ${totalText('variance')}
  let scale = 1.0 / sqrt(variance / f32(width) + epsilon);
  ${overRow(`y[at] = (x[at] - mean) * scale * gamma[column]${hasBeta ? ' + beta[column]' : ''};`)}
  if (local == 0u && row < rows) { means[row] = mean; inverseStds[row] = scale; }`,
});
const LAYER_NORM = { with: layerNormSource(true), without: layerNormSource(false) };

const LAYER_NORM_INPUT: KernelSource = {
  ...shared,
  name: 'layer norm gradient',
  inputs: ['x', 'gamma', 'means', 'inverseStds', 'dy'],
  outputs: ['dx'],
  counts: ['rows', 'width'],
  body: `${ROW_START}
  let known = min(row, rows - 1u);
  let mean = means[known];
  let scale = inverseStds[known];
  var sum = 0.0;
  var product = 0.0;
  ${overRow('let g = dy[at] * gamma[column]; sum += g; product += g * (x[at] - mean) * scale;')}
  ${totalText('sum')}
  ${totalText('product')}
  ${overRow('dx[at] = scale * (dy[at] * gamma[column] - sum / f32(width) - (x[at] - mean) * scale * product / f32(width));')}`,
};

const RMS_NORM: KernelSource = {
  ...shared,
  name: 'RMS norm',
  inputs: ['x', 'gamma'],
  outputs: ['y', 'scales'],
  counts: ['rows', 'width'],
  numbers: ['epsilon', 'offset'],
  body: `${ROW_START}
  var squares = 0.0;
  ${overRow('squares += x[at] * x[at];')}
  ${totalText('squares')}
  let scale = 1.0 / sqrt(squares / f32(width) + epsilon);
  ${overRow('y[at] = x[at] * scale * (gamma[column] + offset);')}
  if (local == 0u && row < rows) { scales[row] = scale; }`,
};

const RMS_NORM_INPUT: KernelSource = {
  ...shared,
  name: 'RMS norm gradient',
  inputs: ['x', 'gamma', 'scales', 'dy'],
  outputs: ['dx'],
  counts: ['rows', 'width'],
  numbers: ['offset'],
  body: `${ROW_START}
  let scale = scales[min(row, rows - 1u)];
  var product = 0.0;
  ${overRow('product += dy[at] * (gamma[column] + offset) * x[at] * scale;')}
  ${totalText('product')}
  ${overRow('dx[at] = scale * (dy[at] * (gamma[column] + offset) - x[at] * scale * product / f32(width));')}`,
};

/** x̂ ⊙ dy, of which γ's gradient is the sum over the rows. */
const NORMALISED_PRODUCT: KernelSource = {
  name: 'normalised times gradient',
  inputs: ['x', 'means', 'scales', 'dy'],
  outputs: ['y'],
  counts: ['size', 'width', 'isCentred'],
  body: `
  if (index >= size) { return; }
  let row = index / width;
  let mean = select(0.0, means[row], isCentred == 1u);
  y[index] = (x[index] - mean) * scales[row] * dy[index];`,
};

/** N and D of `[N, D]`. */
export const rowsOf = ({ shape }: TensorInfo): [number, number] => {
  const width = shape.at(-1)!;
  return [width === 0 ? 0 : sizeOf(shape) / width, width];
};

function gammaGradient(
  backend: WebgpuBackend,
  x: TensorInfo,
  means: TensorInfo | undefined,
  scales: TensorInfo,
  dy: TensorInfo,
): TensorInfo {
  const [rows, width] = rowsOf(x);
  const product = backend.make(x.shape);
  backend.runOver(
    rows * width,
    NORMALISED_PRODUCT,
    [x, means ?? scales, scales, dy, product].map((each) => backend.block(each)),
    [rows * width, width, means ? 1 : 0],
  );
  const sum = sumOverRows(backend, product, rows, width);
  backend.disposeData(product.dataId);
  return sum;
}

/** Registers the norms and their gradients. */
export function registerNorms(): void {
  register<{ epsilon: number }>('PeftLayerNorm', ({ inputs, attributes, backend }) => {
    const { x, gamma, beta } = inputs as Record<'x' | 'gamma', TensorInfo> & {
      readonly beta?: TensorInfo;
    };
    const [rows, width] = rowsOf(x);
    const outputs = [backend.make(x.shape), backend.make([rows]), backend.make([rows])];
    backend.runGroups(
      rows,
      beta ? LAYER_NORM.with : LAYER_NORM.without,
      [x, gamma, ...(beta ? [beta] : []), ...outputs].map((each) => backend.block(each)),
      [rows, width],
      [attributes.epsilon],
    );
    return outputs;
  });
  register<{ needGamma: boolean; needBeta: boolean; needX: boolean }>(
    'PeftLayerNormGradient',
    ({ inputs, attributes, backend }) => {
      const { x, gamma, mean, inverseStd, dy } = inputs as Record<
        'x' | 'gamma' | 'mean' | 'inverseStd' | 'dy',
        TensorInfo
      >;
      const [rows, width] = rowsOf(x);
      const dx = backend.make(attributes.needX ? x.shape : [0]);
      if (attributes.needX)
        backend.runGroups(
          rows,
          LAYER_NORM_INPUT,
          [x, gamma, mean, inverseStd, dy, dx].map((each) => backend.block(each)),
          [rows, width],
        );
      return [
        dx,
        attributes.needGamma ? gammaGradient(backend, x, mean, inverseStd, dy) : backend.make([0]),
        attributes.needBeta ? sumOverRows(backend, dy, rows, width) : backend.make([0]),
      ];
    },
  );
  register<{ epsilon: number; gammaOffset: number }>(
    'PeftRmsNorm',
    ({ inputs, attributes, backend }) => {
      const { x, gamma } = inputs as Record<'x' | 'gamma', TensorInfo>;
      const [rows, width] = rowsOf(x);
      const outputs = [backend.make(x.shape), backend.make([rows])];
      backend.runGroups(
        rows,
        RMS_NORM,
        [x, gamma, ...outputs].map((each) => backend.block(each)),
        [rows, width],
        [attributes.epsilon, attributes.gammaOffset],
      );
      return outputs;
    },
  );
  register<{ gammaOffset: number; needGamma: boolean; needX: boolean }>(
    'PeftRmsNormGradient',
    ({ inputs, attributes, backend }) => {
      const { x, gamma, inverseRms, dy } = inputs as Record<
        'x' | 'gamma' | 'inverseRms' | 'dy',
        TensorInfo
      >;
      const [rows, width] = rowsOf(x);
      const dx = backend.make(attributes.needX ? x.shape : [0]);
      if (attributes.needX)
        backend.runGroups(
          rows,
          RMS_NORM_INPUT,
          [x, gamma, inverseRms, dy, dx].map((each) => backend.block(each)),
          [rows, width],
          [attributes.gammaOffset],
        );
      return [
        dx,
        attributes.needGamma
          ? gammaGradient(backend, x, undefined, inverseRms, dy)
          : backend.make([0]),
      ];
    },
  );
}
