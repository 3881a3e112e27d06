import type { QuantizedSource } from '@peft/hub';
import type { TensorSource } from '@peft/ops';

/** Stored tensors by name: a checkpoint, or values in memory. */
export interface WeightStore {
  names(): Iterable<string>;
  get(name: string): TensorSource | undefined;
  /**
   * The tensor where it is stored quantised; `get` then gives nothing of use. See `quantizedStore`
   * of @peft/hub.
   */
  quantized?(name: string): QuantizedSource | undefined;
}
