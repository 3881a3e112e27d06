/**
 * What an engine holds in memory, as it says itself: a plan runs a model's own code on tensors
 * without values and asks this for everything that is the engine's.
 */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { KernelName } from '../tape/kernels.js';
import type { QuantizedSize } from './weight-bytes.js';
import type { WeightFormat } from './weight-format.js';

/** A weight whose size is known, and whose values are not. */
export interface SizedWeight {
  /** The logical one, `[rows, columns]`. */
  readonly shape: readonly number[];
  readonly format: WeightFormat;
  /** How its elements are kept. */
  readonly size: QuantizedSize;
}

/** What was done with a weight so far. */
export interface WeightUses {
  /** It was an operand of a product. */
  readonly product: boolean;
  /** Rows were read of it. */
  readonly rows: boolean;
}

/**
 * A product of `[rows, n]` with a weight, `linear` of an engine or its gradient towards the input.
 */
export interface SizedProduct {
  readonly weight: SizedWeight;
  readonly rows: number;
  /** Columns of the operand that is no weight. */
  readonly operandWidth: number;
  /** Columns of the result. */
  readonly width: number;
  /** What it ends with; `sums`: an activation that keeps what it was computed of. */
  readonly end: 'none' | 'bias' | 'activation' | 'sums';
}

/**
 * Bytes that live at the most while a kernel runs; its inputs are not counted, and outputs only
 * where more than they live at once. 0: nothing but inputs and outputs.
 */
export type KernelHolds = (
  inputs: Readonly<Record<string, TensorInfo>>,
  attributes: Readonly<Record<string, unknown>>,
) => number;

/** An engine whose model lies on a graphics card. */
export interface CardSizing {
  /** What its libraries take of the card before anything of a run is there. */
  readonly runtimeBytes: number;
  /** What the process takes beside it, without model and run. */
  readonly hostRuntimeBytes: number;
  /**
   * What stays in the machine's memory of what was uploaded.
   * @param packedBytes of quantised weights as they are kept
   * @param adapterBytes of adapters
   */
  hostCopyBytes(packedBytes: number, adapterBytes: number): number;
}

/** What an engine holds in memory, by its own kernels' account; memory plans ask it. */
export interface EngineSizing {
  /** For messages: `native`. */
  readonly name: string;
  /** What the process takes without model and run, in bytes. */
  readonly runtimeBytes: number;
  /** Weights that stay as they are stay in their file, too, and take no memory while they load. */
  readonly mapsFiles: boolean;
  /** The kernels that it has, and what each holds. Any other operation runs by its reference. */
  readonly kernels: Readonly<Partial<Record<KernelName, KernelHolds>>>;
  /** It has `linearActivated`. */
  readonly hasActivatedProducts: boolean;
  /** It has `linearAdded`. Default false. */
  readonly hasAddedProducts?: boolean;
  /** It has `linearCrossEntropy`, and makes the logits of so many words of the vocabulary at a time. */
  readonly vocabularyChunk?: number;
  /** Bytes that a weight takes once it was used like this. */
  weightBytes(weight: SizedWeight, uses: WeightUses): number;
  /** Bytes that live at the most during a product, its operands left out. 0: the result alone. */
  productBytes(product: SizedProduct): number;
  /** Bytes that live at the most while rows are read, 0: those rows alone. */
  rowsBytes(weight: SizedWeight, rows: number): number;
  /** Bytes that live at the most while a weight is dequantised, 0: the matrix alone. */
  matrixBytes(weight: SizedWeight): number;
  /** Where its model may lie on a card. */
  readonly card?: CardSizing;
}
