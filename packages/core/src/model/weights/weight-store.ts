import type { QuantizedSource } from '@peft/hub';
import type { TensorSource } from '@peft/ops';

/** Stored tensors by name: a checkpoint, or values in memory. */
export interface WeightStore {
  names(): Iterable<string>;
  get(name: string): TensorSource | undefined;
  /**
   * The tensor, or an entry of its first axis, as it is stored where an engine can hold it
   * quantised; `get` gives its values. See `quantizedStore` of @peft/hub.
   */
  quantized?(name: string, index?: number): QuantizedSource | undefined;
  /** Closes its files; called with the weights that are streamed from it. */
  close?(): void;
}
