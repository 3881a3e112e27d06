/** AdamW's update of parameters and moments that lie on the device, in one pass: see `PeftKernels`. */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { AdamWNumber } from '@peft/ops';
import { register } from '../../backend/register.js';
import { sizeOf } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';
import { concat } from '../plain/views.js';

const NUMBERS: readonly AdamWNumber[] = [
  'stepSize',
  'rootCorrection',
  'shrink',
  'newFirst',
  'beta2',
  'newSecond',
  'epsilon',
];

const SOURCES = new Map<string, KernelSource>();

/** @param apart numbers that each element has of its own, one after another in `apart`. */
function sourceOf(apart: readonly AdamWNumber[]): KernelSource {
  const name = ['adamw', ...apart].join(' ');
  const known = SOURCES.get(name);
  if (known) return known;
  const source: KernelSource = {
    name,
    inputs: ['values', 'gradient', 'm', 'v', ...(apart.length > 0 ? ['apart'] : [])],
    outputs: ['newValues', 'newM', 'newV'],
    counts: ['size'],
    numbers: NUMBERS.filter((number) => !apart.includes(number)),
    body: `
  if (index >= size) { return; }
  ${apart.map((number, n) => `let ${number} = apart[${n}u * size + index];`).join(' ')}
  let g = gradient[index];
  let first = m[index] + (g - m[index]) * newFirst;
  let second = v[index] * beta2 + g * g * newSecond;
  newM[index] = first;
  newV[index] = second;
  newValues[index] = values[index] * shrink - first * stepSize / (sqrt(second) / rootCorrection + epsilon);`,
  };
  SOURCES.set(name, source);
  return source;
}

/** Registers the kernel. */
export function registerAdamW(): void {
  register<object>('PeftAdamWTensors', ({ inputs, backend }) => {
    const { values, gradient, m, v } = inputs as Record<
      'values' | 'gradient' | 'm' | 'v',
      TensorInfo
    >;
    const size = sizeOf(values.shape);
    const numbers = NUMBERS.map((name) => backend.number(inputs[name]!));
    const apart = NUMBERS.filter((_, n) => numbers[n] === undefined);
    const own =
      apart.length > 0
        ? concat(
            backend,
            apart.map((name) => inputs[name]!),
            0,
          )
        : undefined;
    const outputs = [values, m, v].map(({ shape }) => backend.make(shape));
    backend.runOver(
      size,
      sourceOf(apart),
      [values, gradient, m, v, ...(own ? [own] : []), ...outputs].map((each) =>
        backend.block(each),
      ),
      [size],
      numbers.filter((number) => number !== undefined),
    );
    if (own) backend.disposeData(own.dataId);
    return outputs;
  });
}
