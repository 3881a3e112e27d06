/** The values that a model is exported with, a tensor at a time. */
import type { Model, ParameterSpec } from '@peft/core';
import { PeftError } from '@peft/errors';

/**
 * float32 values of a parameter with the adapter folded in, in its logical order: `[out, in]` for a
 * linear weight.
 * @throws PEFT_MERGE_INEXACT, PEFT_EXPORT_NOT_FINITE
 */
export function foldedValues(model: Model, { name }: Pick<ParameterSpec, 'name'>): Float32Array {
  const tensor = model.readFoldedParameter(name);
  const values = tensor.dataSync<'float32'>(); // once per tensor
  tensor.dispose();
  for (let i = 0; i < values.length; i += 1) {
    if (!Number.isFinite(values[i]))
      throw new PeftError(
        'PEFT_EXPORT_NOT_FINITE',
        `export: ${name} holds ${values[i]} at place ${i}.`,
        { hint: 'the training diverged: go back to an earlier checkpoint, or a smaller rate' },
      );
  }
  return values;
}

/** `[rows, columns]` → `[columns, rows]`. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1)
      out[column * rows + row] = values[row * columns + column]!;
  return out;
}
