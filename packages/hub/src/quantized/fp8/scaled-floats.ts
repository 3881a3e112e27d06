/**
 * 8-bit floats times the scales of their blocks: w_rc = code_rc·s[⌊r/rows⌋, ⌊c/columns⌋], the last
 * block of a row or column being cut off.
 */
import type { StoredDtype, TensorSource } from '@peft/ops';
import { decodedSource } from '../decoded-source.js';
import { finiteValues, requireFinite, sizeOf } from '../parts.js';
import { partsError } from '../parts-error.js';
import { decodeValues } from '../../tensor-values.js';

/** Rows and columns of a block. */
export type BlockShape = readonly [rows: number, columns: number];

export const isFloat8 = (dtype: StoredDtype): dtype is 'F8_E4M3' | 'F8_E5M2' =>
  dtype === 'F8_E4M3' || dtype === 'F8_E5M2';

/** Scales of an axis, and how many values one of them is for. */
interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly block: BlockShape;
}

/**
 * @param weight 8-bit floats `[…, R, C]`
 * @param scale one value, one a row (or one an expert), or a grid `[…, r, c]`; U8 are exponents
 *   with a bias of 127
 * @param blockShape as the config says it; where the grid is another, it divides the weight
 * @returns values in bfloat16, in chunks of a few rows
 * @throws PEFT_QUANTIZED_PARTS for scales that do not go with the weight
 */
export function scaledFloats(
  weight: TensorSource,
  scale: TensorSource,
  blockShape: BlockShape,
): TensorSource {
  const { name, shape } = weight;
  const dtype = weight.dtype as 'F8_E4M3' | 'F8_E5M2';
  if (shape.length !== 2 && shape.length !== 3)
    throw partsError(name, `an 8-bit weight has two or three axes, got [${shape.join(', ')}]`);
  const [rows, columns] = shape.slice(-2) as [number, number];
  const grid = gridOf(weight, scale, blockShape);
  const entry = sizeOf(shape.slice(1));
  const isWhole = sizeOf(scale.shape) === 1;
  return decodedSource({
    name,
    shape,
    dtype: 'BF16',
    open() {
      const scales = scaleValues(scale);
      return (first, count) => {
        const values = decodeValues(dtype, weight.read(first * entry, count * entry));
        for (let start = 0; start < values.length; start += columns) {
          const row = (first * entry + start) / columns;
          const matrix = Math.floor(row / rows);
          const gridRow = matrix * grid.rows + Math.floor((row % rows) / grid.block[0]);
          for (let block = 0; block < grid.columns; block += 1) {
            const factor = scales[isWhole ? 0 : gridRow * grid.columns + block]!;
            const end = Math.min(columns, (block + 1) * grid.block[1]);
            for (let c = block * grid.block[1]; c < end; c += 1) values[start + c]! *= factor;
          }
        }
        return values;
      };
    },
  });
}

function gridOf({ name, shape }: TensorSource, scale: TensorSource, blockShape: BlockShape): Grid {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const leading = shape.slice(0, -2);
  const whole: Grid = { rows: 1, columns: 1, block: [rows, columns] };
  if (sizeOf(scale.shape) === 1) return whole;
  if (scale.shape.length === 1 && scale.shape[0] === shape[0])
    return leading.length ? whole : { rows, columns: 1, block: [1, columns] };
  const [gridRows, gridColumns] = scale.shape.slice(-2) as [number, number];
  if (
    scale.shape.length === shape.length &&
    scale.shape.slice(0, -2).join() === leading.join() &&
    gridRows > 0 &&
    gridColumns > 0
  ) {
    const [high, wide] = blockShape;
    if (Math.ceil(rows / high) === gridRows && Math.ceil(columns / wide) === gridColumns)
      return { rows: gridRows, columns: gridColumns, block: blockShape };
    if (rows % gridRows === 0 && columns % gridColumns === 0)
      return {
        rows: gridRows,
        columns: gridColumns,
        block: [rows / gridRows, columns / gridColumns],
      };
  }
  throw partsError(
    scale.name,
    `[${scale.shape.join(', ')}] does not go with ${name} [${shape.join(', ')}] in blocks of ` +
      blockShape.join(' × '),
  );
}

function scaleValues(scale: TensorSource): Float32Array {
  if (scale.dtype !== 'U8') return finiteValues(scale);
  return requireFinite(scale.name, decodeValues('F8_E8M0', scale.read()));
}
