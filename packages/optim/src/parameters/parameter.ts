/** What an optimiser trains: named variables, each with the settings of its group. */
import type { Tensor, Variable } from '@tensorflow/tfjs';

/** Settings that many parameters share. Plain data, so that it goes into a checkpoint as it is. */
export interface ParameterGroup {
  /** Multiplies the schedule's learning rate; 1 for the plain rate. */
  readonly learningRateScale: number;
  /**
   * Decoupled for AdamW and Lion (p ← p·(1 − lr·λ)), added to the gradient for Adam and SGD (g ← g
   * + λ·p).
   */
  readonly weightDecay: number;
}

/** A float32 variable that trains. The optimiser assigns to it and never disposes it. */
export interface TrainableParameter {
  /** Unique among the parameters of an optimiser; names its state in checkpoints. */
  readonly name: string;
  readonly variable: Variable;
  readonly group: ParameterGroup;
}

/**
 * The gradient of each parameter, by name, in the parameter's shape: a float32 tensor, or its
 * values. The caller keeps and disposes tensors.
 */
export type Gradients = Readonly<Record<string, Tensor | Float32Array>>;
