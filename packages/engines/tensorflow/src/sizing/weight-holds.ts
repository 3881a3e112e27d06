/**
 * What TensorFlow holds for the time of a product beside a weight's own bytes: the matrix that is
 * made of it. See `tensorflow-weight.ts`.
 */
import type { SizedWeight } from '@peft/ops';

export interface Passing {
  /** While the matrix is made. */
  readonly most: number;
  /** During the product. */
  readonly left: number;
}

type Precision = 'float32' | 'bfloat16';
const ITSELF: Readonly<Record<string, Precision>> = { f32: 'float32', bf16: 'bfloat16' };
// of quantised block maxima: two indices, two factors, their product and their sum, 4 bytes each
const BLOCK_BYTES = 24;

/**
 * Plain weights are converted where their type is not the product's; int8 and 4-bit ones become
 * float32 first.
 */
export function matrixPassing({ shape, format, size }: SizedWeight, precision: Precision): Passing {
  const elements = shape[0]! * shape[1]!;
  const converted = precision === 'bfloat16' ? 2 : 4;
  if (format === 'f32' || format === 'bf16' || format === 'f16') {
    const bytes = ITSELF[format] === precision ? 0 : converted * elements;
    return { most: bytes, left: bytes };
  }
  const maxima = size.doubleQuantization
    ? BLOCK_BYTES * Math.ceil(elements / (size.blockSize ?? 64))
    : 0;
  // before and after they are multiplied by their maxima, in float32
  return { most: 8 * elements + maxima, left: converted * elements };
}

/** Rows in the stored type, then in float32; of 4-bit weights as many blocks as they have. */
export function rowsPassing(weight: SizedWeight, rows: number): number {
  const width = weight.shape[1]!;
  const { format, size } = weight;
  if (format === 'f32') return 4 * rows * width;
  if (format === 'bf16' || format === 'f16') return 6 * rows * width;
  if (format === 'int8') return 9 * rows * width;
  const blockSize = size.blockSize ?? 64;
  if (width % blockSize !== 0) return matrixPassing(weight, 'float32').most + 4 * rows * width;
  return (
    8.5 * rows * width +
    (size.doubleQuantization ? (BLOCK_BYTES * weight.shape[0]! * width) / blockSize : 0)
  );
}
