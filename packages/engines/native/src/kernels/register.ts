/** How kernels are registered for the native backend. */
import * as tf from '@tensorflow/tfjs';
import type { KernelConfig, TensorInfo } from '@tensorflow/tfjs';
import { NATIVE_BACKEND, type NativeBackend } from '../native-backend.js';

/** What a kernel of ours is called with. */
export interface KernelCall<A = Record<string, unknown>> {
  readonly inputs: Readonly<Record<string, TensorInfo>>;
  readonly attributes: A;
  readonly backend: NativeBackend;
}
type Output = TensorInfo | TensorInfo[];

/** Registers a kernel that every call can take. */
export function register<A>(name: string, run: (call: KernelCall<A>) => Output): void {
  if (tf.getKernel(name, NATIVE_BACKEND)) tf.unregisterKernel(name, NATIVE_BACKEND);
  tf.registerKernel({
    kernelName: name,
    backendName: NATIVE_BACKEND,
    kernelFunc: ({ inputs, attrs, backend }) =>
      run({
        inputs: inputs as Record<string, TensorInfo>,
        attributes: attrs as A,
        backend: backend as NativeBackend,
      }),
  });
}

/**
 * Registers a kernel for the calls that it takes; `undefined` hands a call to the inherited one.
 */
export function override<A>(name: string, run: (call: KernelCall<A>) => Output | undefined): void {
  const inherited = inheritedKernel(name);
  if (tf.getKernel(name, NATIVE_BACKEND)) tf.unregisterKernel(name, NATIVE_BACKEND);
  tf.registerKernel({
    kernelName: name,
    backendName: NATIVE_BACKEND,
    kernelFunc: (args) =>
      run({
        inputs: args.inputs as Record<string, TensorInfo>,
        attributes: args.attrs as A,
        backend: args.backend as NativeBackend,
      }) ?? inherited(args),
  });
}

/**
 * Registers every kernel of tfjs's CPU backend. Their results may share memory with their inputs;
 * they are separated.
 */
export function inheritKernels(): void {
  for (const kernel of tf.getKernelsForBackend('cpu')) {
    if (tf.getKernel(kernel.kernelName, NATIVE_BACKEND)) continue;
    tf.registerKernel({
      ...kernel,
      backendName: NATIVE_BACKEND,
      kernelFunc: inheritedKernel(kernel.kernelName),
    });
  }
}

function inheritedKernel(name: string): KernelConfig['kernelFunc'] {
  const kernel = tf.getKernel(name, 'cpu');
  if (!kernel) throw new Error(`tfjs's CPU backend has no kernel ${name}`);
  return (args) => {
    const outputs = kernel.kernelFunc(args);
    const inputs = Object.values(args.inputs).flat() as TensorInfo[];
    for (const output of Array.isArray(outputs) ? outputs : [outputs])
      (args.backend as NativeBackend).separate(output, inputs);
    return outputs;
  };
}

/** Number of elements of a shape. */
export const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);
