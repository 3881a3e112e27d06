/** Registers a tfjs backend without values for the kernels that an engine has. */
import * as tf from '@tensorflow/tfjs';
import type { KernelConfig, TensorInfo } from '@tensorflow/tfjs';
import type { EngineSizing, KernelHolds, KernelName } from '@peft/ops';
import { KERNEL_SHAPES, type Made, type ShapeRule } from './kernel-shapes.js';
import { PEFT_KERNEL_SHAPES } from './peft-kernel-shapes.js';
import { SizingBackend } from './sizing-backend.js';

/** Backends by the kernels that they stand for. */
const names = new WeakMap<EngineSizing['kernels'], string>();
let count = 0;

/** @returns the name of the backend for an engine's kernels, registered the first time. */
export function registerSizingBackend({ name: engine, kernels }: EngineSizing): string {
  const known = names.get(kernels);
  if (known !== undefined) return known;
  const name = `peft-sizes-${(count += 1)}-${engine}`;
  names.set(kernels, name);
  tf.registerBackend(name, () => new SizingBackend(), -1);
  for (const [kernelName, rule] of Object.entries(KERNEL_SHAPES))
    tf.registerKernel({ kernelName, backendName: name, kernelFunc: byRule(rule) });
  for (const [kernelName, holds] of Object.entries(kernels))
    tf.registerKernel({
      kernelName,
      backendName: name,
      kernelFunc: withHeld(PEFT_KERNEL_SHAPES[kernelName as KernelName], holds),
    });
  for (const kernel of tf.getKernelsForBackend('cpu'))
    if (!(kernel.kernelName in KERNEL_SHAPES))
      tf.registerKernel({ ...kernel, backendName: name, kernelFunc: byZeros(kernel) });
  return name;
}

function byRule(rule: ShapeRule): KernelConfig['kernelFunc'] {
  return ({ inputs, attrs, backend }) => {
    const sizes = backend as SizingBackend;
    const make = ({ shape, dtype = 'float32', shares }: Made): TensorInfo =>
      shares ? sizes.share(shares, shape, dtype) : sizes.create(shape, dtype);
    const made = rule(inputs as Record<string, TensorInfo>, attrs ?? {});
    return isList(made) ? made.map(make) : make(made);
  };
}

function withHeld(rule: ShapeRule, holds: KernelHolds): KernelConfig['kernelFunc'] {
  const run = byRule(rule);
  return (call) => {
    (call.backend as SizingBackend).pass(
      holds(call.inputs as Record<string, TensorInfo>, call.attrs ?? {}),
    );
    return run(call);
  };
}

const isList = (made: Made | readonly Made[]): made is readonly Made[] => Array.isArray(made);

/** A rare kernel's shapes, found by running it on zeros. */
function byZeros(kernel: KernelConfig): KernelConfig['kernelFunc'] {
  return ({ inputs, attrs, backend }) => {
    const cpu = tf.findBackend('cpu') as tf.MathBackendCPU;
    // tfjs's advice to install tfjs-node does not apply
    (cpu as unknown as { firstUse: boolean }).firstUse = false;
    const sizes = backend as SizingBackend;
    const zeros = (tensor: TensorInfo): TensorInfo => ({
      ...tensor,
      // numbers, though the types allow for strings
      dataId: cpu.write(sizes.readSync(tensor.dataId) as never, tensor.shape, tensor.dtype),
    });
    const given = Object.fromEntries(
      Object.entries(inputs).map(([name, value]) => [
        name,
        Array.isArray(value) ? (value as TensorInfo[]).map(zeros) : zeros(value as TensorInfo),
      ]),
    );
    const made = kernel.kernelFunc({
      inputs: given as never, // the kernel's own, with other data
      backend: cpu,
      attrs,
    });
    const outputs = Array.isArray(made) ? made : [made];
    const sized = outputs.map(({ shape, dtype }) => sizes.create(shape, dtype));
    for (const tensor of [...outputs, ...Object.values(given).flat()])
      cpu.disposeData(tensor.dataId, true);
    return Array.isArray(made) ? sized : sized[0]!;
  };
}
