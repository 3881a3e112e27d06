/** Activations, gated activations, dropout and column scales, element by element. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { ActivationName, DropoutAttributes } from '@peft/ops';
import { register, type KernelCall } from '../../backend/register.js';
import { sizeOf, type WebgpuBackend } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { ACTIVATION_FUNCTIONS, activationText, derivativeText } from '../activation-formulas.js';
import { sumOverRows } from '../plain/reductions.js';
import { rowsOf } from './norms.js';

/** MurmurHash3's finaliser twice, as `counter-random.ts` of @peft/ops. */
export const RANDOM = `
fn mix(word: u32) -> u32 {
  var h = word;
  h ^= h >> 16u; h *= 0x85ebca6bu; h ^= h >> 13u; h *= 0xc2b2ae35u; h ^= h >> 16u;
  return h;
}
fn random_24(i: u32, key0: u32, key1: u32) -> u32 { return mix(mix(i ^ key0) + key1) >> 8u; }`;

/**
 * What a kernel is told of dropout: the key, the least 24-bit number that is kept (u ≥ rate as whole
 * numbers), and 1/(1 − rate).
 */
export const dropoutCounts = ({ rate, key }: DropoutAttributes): number[] => [
  key[0] >>> 0,
  key[1] >>> 0,
  Math.ceil(rate * 2 ** 24),
];
export const keptFactor = ({ rate }: DropoutAttributes): number => 1 / (1 - rate);

const DROPOUT: KernelSource = {
  name: 'dropout',
  inputs: ['x'],
  outputs: ['y'],
  counts: ['size', 'key0', 'key1', 'least'],
  numbers: ['kept'],
  declarations: RANDOM,
  body: `
  if (index >= size) { return; }
  y[index] = select(0.0, x[index] * kept, random_24(index, key0, key1) >= least);`,
};

const SCALE: KernelSource = {
  name: 'column scales',
  inputs: ['x', 'scale'],
  outputs: ['y'],
  counts: ['size', 'width'],
  body: `
  if (index < size) { y[index] = x[index] * scale[index % width]; }`,
};

const PRODUCT: KernelSource = {
  name: 'product of elements',
  inputs: ['a', 'b'],
  outputs: ['y'],
  counts: ['size'],
  body: `
  if (index < size) { y[index] = a[index] * b[index]; }`,
};

const SOURCES = new Map<string, KernelSource>();

/** A kernel of equally large tensors, one output or more. */
function equalSource(
  name: string,
  inputs: readonly string[],
  outputs: Readonly<Record<string, string>>,
): KernelSource {
  const known = SOURCES.get(name);
  if (known) return known;
  const source: KernelSource = {
    name,
    inputs: inputs.map((input) => `${input}_`),
    outputs: Object.keys(outputs),
    counts: ['size'],
    declarations: ACTIVATION_FUNCTIONS,
    body: `
  if (index >= size) { return; }
  ${inputs.map((input) => `let ${input} = ${input}_[index];`).join(' ')}
  ${Object.entries(outputs)
    .map(([output, text]) => `${output}[index] = ${text};`)
    .join(' ')}`,
  };
  SOURCES.set(name, source);
  return source;
}

function overEqual(
  backend: WebgpuBackend,
  source: KernelSource,
  inputs: readonly TensorInfo[],
): TensorInfo[] {
  const { shape } = inputs[0]!;
  const outputs = source.outputs.map(() => backend.make(shape));
  backend.runOver(
    sizeOf(shape),
    source,
    [...inputs, ...outputs].map((each) => backend.block(each)),
    [sizeOf(shape)],
  );
  return outputs;
}

type Kind = KernelCall<{ kind: ActivationName }>;

/** Registers what acts on elements. */
export function registerActivations(): void {
  register('PeftActivation', ({ inputs, attributes: { kind }, backend }: Kind) => {
    const source = equalSource(`activation ${kind}`, ['x'], { y: activationText(kind, 'x') });
    return overEqual(backend, source, [inputs['x']!])[0]!;
  });
  register('PeftActivationGradient', ({ inputs, attributes: { kind }, backend }: Kind) => {
    const source = equalSource(`activation gradient ${kind}`, ['x', 'dy'], {
      dx: `dy * ${derivativeText(kind, 'x')}`,
    });
    return overEqual(backend, source, [inputs['x']!, inputs['dy']!])[0]!;
  });
  register('PeftGatedActivation', ({ inputs, attributes: { kind }, backend }: Kind) => {
    const source = equalSource(`gated ${kind}`, ['gate', 'up'], {
      y: `${activationText(kind, 'gate')} * up`,
    });
    return overEqual(backend, source, [inputs['gate']!, inputs['up']!])[0]!;
  });
  register('PeftGatedActivationGradient', ({ inputs, attributes: { kind }, backend }: Kind) => {
    const source = equalSource(`gated gradient ${kind}`, ['gate', 'up', 'dy'], {
      dgate: `dy * up * ${derivativeText(kind, 'gate')}`,
      dup: `dy * ${activationText(kind, 'gate')}`,
    });
    return overEqual(backend, source, [inputs['gate']!, inputs['up']!, inputs['dy']!]);
  });
  register<DropoutAttributes>('PeftDropout', ({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    const y = backend.make(x.shape);
    const size = sizeOf(x.shape);
    backend.runOver(
      size,
      DROPOUT,
      [backend.block(x), backend.block(y)],
      [size, ...dropoutCounts(attributes)],
      [keptFactor(attributes)],
    );
    return y;
  });
  register('PeftScaleColumns', ({ inputs, backend }) =>
    scaled(backend, inputs['x']!, inputs['scale']!),
  );
  register<{ needX: boolean; needScale: boolean }>(
    'PeftScaleColumnsGradient',
    ({ inputs, attributes, backend }) => {
      const { x, scale, dy } = inputs as Record<'x' | 'scale' | 'dy', TensorInfo>;
      const [rows, width] = rowsOf(x);
      const dx = attributes.needX ? scaled(backend, dy, scale) : backend.make([0]);
      if (!attributes.needScale) return [dx, backend.make([0])];
      const [product] = overEqual(backend, PRODUCT, [x, dy]);
      const dscale = sumOverRows(backend, product!, rows, width);
      backend.disposeData(product!.dataId);
      return [dx, dscale];
    },
  );
}

function scaled(backend: WebgpuBackend, x: TensorInfo, scale: TensorInfo): TensorInfo {
  const y = backend.make(x.shape);
  const [rows, width] = rowsOf(x);
  backend.runOver(
    rows * width,
    SCALE,
    [x, scale, y].map((each) => backend.block(each)),
    [rows * width, width],
  );
  return y;
}
