import type { Tensor1D } from '@tensorflow/tfjs';
import type { PageSegments } from './page-layout.js';

/** How an optimiser gets at state on a device. */
export interface StatePages {
  /**
   * Calls `update` with each page that holds a parameter of `parameters` and its state, float32 [n]
   * for each slot, in a `tf.tidy`. What it returns is the new state. The pages of a parameter that
   * spans several follow each other in ascending order. Waits for pages that go back to host memory.
   */
  visit(
    parameters: { has(name: string): boolean },
    update: (page: PageSegments, slots: readonly Tensor1D[]) => readonly Tensor1D[],
  ): Promise<void>;
}
