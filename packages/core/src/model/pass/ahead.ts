/** What adapters keep of the pass ahead of a forward pass. */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { checkpoint } from '@peft/ops';
import type { Adapter } from '../../adapter/adapter.js';

/** Of one run. */
export class Ahead {
  #kept: ReadonlyMap<Adapter, Tensor2D> = new Map();

  of(adapter: Adapter): Tensor2D | undefined {
    return this.#kept.get(adapter);
  }

  keep(kept: ReadonlyMap<Adapter, Tensor2D>): void {
    this.#kept = kept;
  }

  /**
   * `block` on `inputs`, made again in the backward pass. What was kept is among what it reads then,
   * so that its gradient goes on to what it was made of.
   */
  checkpoint(inputs: readonly Tensor[], block: (...inputs: Tensor[]) => Tensor2D): Tensor2D {
    const kept = [...this.#kept];
    const scoped = (...tensors: Tensor[]): Tensor2D => {
      const outer = this.#kept;
      this.#kept = new Map(
        kept.map(([adapter], i) => [adapter, tensors[inputs.length + i] as Tensor2D]),
      );
      try {
        return block(...tensors.slice(0, inputs.length));
      } finally {
        this.#kept = outer;
      }
    };
    return checkpoint([...inputs, ...kept.map(([, tensor]) => tensor)], scoped);
  }
}
