/** Runs an engine's kernel where the current backend has one, else the reference. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { KernelInputs, KernelName, PeftKernels } from './kernels.js';

let referenceDepth = 0;
const watchers = new Set<(name: KernelName) => void>();

/** Whether the current tfjs backend provides the kernel. */
export function hasKernel(name: KernelName): boolean {
  return referenceDepth === 0 && tf.getKernel(name, tf.getBackend()) !== undefined;
}

/**
 * The kernel's outputs when the current backend has it, else those of `reference`.
 * @returns tensors of the enclosing tidy scope.
 */
export function runKernel<K extends KernelName>(
  name: K,
  inputs: KernelInputs<K>,
  attributes: PeftKernels[K]['attributes'],
  reference: () => Tensor[],
): Tensor[] {
  if (!hasKernel(name)) {
    for (const watcher of watchers) watcher(name);
    return reference();
  }
  const present = Object.fromEntries(
    Object.entries(inputs).filter(([, tensor]) => tensor !== undefined),
  ) as Record<string, Tensor>;
  // tfjs passes attributes on as they are
  const outputs = tf.engine().runKernel(name, present, attributes as never) as Tensor | Tensor[];
  return Array.isArray(outputs) ? outputs : [outputs];
}

/**
 * Runs `body` with every operation computed by its reference, whatever the backend offers: the slow
 * twin, for tests.
 */
export function withReferenceKernels<T>(body: () => T): T {
  referenceDepth += 1;
  try {
    return body();
  } finally {
    referenceDepth -= 1;
  }
}

/**
 * Tells of every operation that is computed by its reference in plain tfjs operations, by the name of
 * the kernel that the backend lacks.
 * @returns ends it
 */
export function watchReferences(watcher: (name: KernelName) => void): () => void {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
}
