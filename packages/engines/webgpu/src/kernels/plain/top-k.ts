/** tfjs's TopK: the largest of each row with their columns, of equal ones the first column first. */
import type { TensorInfo } from '@tensorflow/tfjs';
import { register, requireFloat } from '../../backend/register.js';
import { sizeOf } from '../../backend/webgpu-backend.js';
import type { KernelSource } from '../../gpu/kernel-source.js';

/** A thread has a row and looks once through it for each of the `most` that it names. */
const TOP_K: KernelSource = {
  name: 'top k',
  inputs: ['x'],
  outputs: ['values', 'columns: i32'],
  counts: ['rows', 'width', 'most'],
  body: `
  if (index >= rows) { return; }
  var last = 0.0;
  var lastColumn = 0u;
  for (var k = 0u; k < most; k++) {
    var best = 0.0;
    var bestColumn = width;
    for (var column = 0u; column < width; column++) {
      let value = x[index * width + column];
      let isLeft = k == 0u || value < last || (value == last && column > lastColumn);
      if (isLeft && (bestColumn == width || value > best)) { best = value; bestColumn = column; }
    }
    values[index * most + k] = best;
    columns[index * most + k] = i32(min(bestColumn, width - 1u)); // a row of NaN has no best
    last = best;
    lastColumn = bestColumn;
  }`,
};

/** Registers TopK. */
export function registerTopK(): void {
  register<{ k: number }>('TopK', ({ inputs, attributes: { k }, backend }) => {
    const { x } = inputs as Record<'x', TensorInfo>;
    requireFloat('TopK', x);
    const width = x.shape.at(-1)!;
    const shape = [...x.shape.slice(0, -1), k];
    const [values, columns] = [backend.make(shape), backend.make(shape, 'int32')];
    const rows = sizeOf(x.shape.slice(0, -1));
    backend.runOver(
      rows,
      TOP_K,
      [x, values, columns].map((each) => backend.block(each)),
      [rows, width, k],
    );
    return [values, columns];
  });
}
