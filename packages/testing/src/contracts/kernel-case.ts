/** A case of the contract that an engine's kernels keep. */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { KernelName } from '@peft/ops';

export interface KernelCase {
  readonly name: string;
  /** What an engine may override in it. */
  readonly kernels: readonly KernelName[];
  readonly inputs: () => Tensor[];
  readonly run: (...inputs: Tensor[]) => Tensor;
  /** Of the values and gradients, in float32; products in bfloat16 get more. */
  readonly atol?: number;
  readonly hasProducts?: boolean;
}

export type Matrix = (seed: string, rows: number, width: number) => Tensor2D;
