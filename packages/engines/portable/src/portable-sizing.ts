/** What the portable engine holds in memory: operations run by their references, weights as float32. */
import { isQuantizedFormat, weightBytes, type EngineSizing, type SizedWeight } from '@peft/ops';

const elements = ({ shape }: SizedWeight): number => shape[0]! * shape[1]!;
const storedBytes = ({ shape, size }: SizedWeight): number =>
  weightBytes(shape[0]!, shape[1]!, size);

/**
 * A plain weight becomes a float32 matrix at its first product and stays one; of a quantised one a
 * matrix is made for each product.
 */
export const portableSizing: EngineSizing = Object.freeze<EngineSizing>({
  name: 'portable',
  // measured, as the native engine's
  runtimeBytes: 260e6,
  mapsFiles: false,
  kernels: {},
  hasActivatedProducts: false,
  weightBytes: (weight, uses) =>
    isQuantizedFormat(weight.format) || !uses.product
      ? storedBytes(weight)
      : 4 * elements(weight) + (uses.rows ? storedBytes(weight) : 0),
  // the matrix, the product, and the product with its bias
  productBytes: ({ weight, rows, width, end }) =>
    (isQuantizedFormat(weight.format) ? 4 * elements(weight) : 0) +
    4 * rows * width * (end === 'bias' ? 2 : 1),
  rowsBytes: () => 0,
  matrixBytes: () => 0,
});
