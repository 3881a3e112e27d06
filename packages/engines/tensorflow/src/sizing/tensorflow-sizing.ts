/** What the tensorflow engine holds in memory, on a CPU and on a card. */
import {
  weightBytes,
  type CardSizing,
  type EngineSizing,
  type SizedProduct,
  type SizedWeight,
} from '@peft/ops';
import { kernelHolds } from './kernel-holds.js';
import { matrixPassing, rowsPassing } from './weight-holds.js';

/** Which form of the engine: it computes as its library and its device allow. */
export interface TensorflowSizingOptions {
  /** Of the products, whose operands are converted where they are stored otherwise. Default float32. */
  readonly precision?: 'float32' | 'bfloat16';
  /** The model lies on a card. Default false. */
  readonly isOnCard?: boolean;
  /** The library has the kernels that `peft setup tensorflow` compiles for CPUs. Default: on a CPU. */
  readonly hasKernels?: boolean;
}

/** As it is on the device: what only checkpoints have becomes bfloat16. */
const held = ({ shape, format, size }: SizedWeight): SizedWeight =>
  format === 'int4' || format === 'mxfp4'
    ? { shape, format: 'bf16', size: { format: 'bf16' } }
    : { shape, format, size };

const COMPILED = Object.freeze(kernelHolds(true));
const PLAIN = Object.freeze(kernelHolds(false));

/**
 * The card's figures are assumed, as no card was measured. What TensorFlow uploads as it is, packed
 * weights and adapters, it keeps in the machine's memory, too.
 */
const CARD: CardSizing = Object.freeze({
  runtimeBytes: 0.7e9,
  hostRuntimeBytes: 2.5e9,
  hostCopyBytes: (packedBytes: number, adapterBytes: number) => packedBytes + adapterBytes,
});

/**
 * @returns what {@link createTensorflowEngine} would hold; its library need not be there
 * @example
 * planMemory({ architecture, config, engine: tensorflowSizing({ precision: 'bfloat16' }) });
 */
export function tensorflowSizing({
  precision = 'float32',
  isOnCard = false,
  hasKernels = !isOnCard,
}: TensorflowSizingOptions = {}): EngineSizing {
  return Object.freeze<EngineSizing>({
    name: 'tensorflow',
    // measured: 0.51 GB with the library loaded and one product computed, and what a run adds
    runtimeBytes: 600e6,
    mapsFiles: false,
    kernels: hasKernels ? COMPILED : PLAIN,
    hasActivatedProducts: hasKernels,
    weightBytes: (weight) => weightBytes(weight.shape[0]!, weight.shape[1]!, held(weight).size),
    productBytes: (product) =>
      productBytes({ ...product, weight: held(product.weight) }, precision, hasKernels),
    rowsBytes: (weight, rows) => rowsPassing(held(weight), rows),
    matrixBytes: (weight) =>
      matrixPassing(held(weight), 'float32').most + 4 * weight.shape[0]! * weight.shape[1]!,
    card: isOnCard ? CARD : undefined,
  });
}

/** Operands of the product's type, the product in it, and what is made of it in float32. */
function productBytes(
  { weight, rows, operandWidth, width, end }: SizedProduct,
  precision: 'float32' | 'bfloat16',
  hasKernels: boolean,
): number {
  const narrow = precision === 'bfloat16' ? 2 : 0;
  const isCompiled = hasKernels && end !== 'none';
  const perResult = isCompiled
    ? (narrow || 4) + (end === 'sums' ? 8 : 4)
    : narrow + (end === 'bias' ? 8 : 4);
  const { most, left } = matrixPassing(weight, precision);
  // the weight first
  return Math.max(most, left + narrow * rows * operandWidth + rows * width * perResult);
}
