/**
 * Registers the sizing backends: one whose engine has a kernel for each operation, one that runs
 * the references, and one between the two.
 */
import * as tf from '@tensorflow/tfjs';
import type { KernelConfig, TensorInfo } from '@tensorflow/tfjs';
import { KERNEL_SHAPES, type Made, type ShapeRule } from './kernel-shapes.js';
import { PEFT_KERNEL_SHAPES } from './peft-kernel-shapes.js';
import { SizingBackend } from './sizing-backend.js';
import { tensorflowKernels, type TensorflowKernel } from './tensorflow-kernel-shapes.js';

/**
 * `kernels`: the engine computes each operation in one kernel. `references`: in plain tfjs
 * operations. `tensorflow`: some in kernels made of TensorFlow's operations; `tensorflow-compiled`:
 * with those for CPUs.
 */
export type SizingKind = 'kernels' | 'references' | 'tensorflow' | 'tensorflow-compiled';

export const isTensorflow = (kind: SizingKind): boolean => kind.startsWith('tensorflow');

export const backendNameOf = (kind: SizingKind): string => `peft-sizes-${kind}`;

/** Registers what is not registered yet. */
export function registerSizingBackend(kind: SizingKind): string {
  const name = backendNameOf(kind);
  if (tf.engine().registryFactory[name]) return name;
  tf.registerBackend(name, () => new SizingBackend(), -1);
  const rules = { ...KERNEL_SHAPES, ...(kind === 'kernels' ? PEFT_KERNEL_SHAPES : {}) };
  for (const [kernelName, rule] of Object.entries(rules))
    tf.registerKernel({ kernelName, backendName: name, kernelFunc: byRule(rule) });
  if (isTensorflow(kind))
    for (const [kernelName, kernel] of Object.entries(
      tensorflowKernels(kind === 'tensorflow-compiled'),
    ))
      tf.registerKernel({ kernelName, backendName: name, kernelFunc: withHeld(kernel) });
  for (const kernel of tf.getKernelsForBackend('cpu'))
    if (!(kernel.kernelName in rules))
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

function withHeld({ shapes, heldElements }: TensorflowKernel): KernelConfig['kernelFunc'] {
  const run = byRule(shapes);
  return (call) => {
    (call.backend as SizingBackend).pass(
      4 * heldElements(call.inputs as Record<string, TensorInfo>, call.attrs ?? {}),
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
      dataId: cpu.write(sizes.readSync(tensor.dataId) as never, tensor.shape, tensor.dtype),
    });
    const given = Object.fromEntries(
      Object.entries(inputs).map(([name, value]) => [
        name,
        Array.isArray(value) ? (value as TensorInfo[]).map(zeros) : zeros(value as TensorInfo),
      ]),
    );
    const made = kernel.kernelFunc({
      inputs: given as never,
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
