/** The values that a model is exported with, a tensor at a time. */
import type { Tensor } from '@tensorflow/tfjs';
import type { Model, ParameterSpec } from '@peft/core';
import { PeftError } from '@peft/errors';

/**
 * float32 values of a parameter with the adapter folded in, in its logical order: `[out, in]` for a
 * linear weight.
 * @throws PEFT_MERGE_INEXACT, PEFT_EXPORT_NOT_FINITE
 */
export function foldedValues(model: Model, { name }: Pick<ParameterSpec, 'name'>): Float32Array {
  return finiteValues(name, model.readFoldedParameter(name), 0);
}

/** Values of a piece, unless a row has more. */
const PIECE = 2 ** 23;

/**
 * The same in pieces of whole rows: a large matrix that no adapter changes is never in memory as a
 * whole.
 * @throws PEFT_MERGE_INEXACT, PEFT_EXPORT_NOT_FINITE
 */
export function* foldedPieces(
  model: Model,
  { name }: Pick<ParameterSpec, 'name'>,
): Generator<Float32Array> {
  let first = 0;
  for (const piece of model.readFoldedRows(name, PIECE)) {
    const values = finiteValues(name, piece, first);
    first += values.length;
    yield values;
  }
}

/** Takes the tensor over. @param first place of its first value in the parameter */
function finiteValues(name: string, tensor: Tensor, first: number): Float32Array {
  const values = tensor.dataSync<'float32'>(); // once per piece
  tensor.dispose();
  for (let i = 0; i < values.length; i += 1) {
    if (!Number.isFinite(values[i]))
      throw new PeftError(
        'PEFT_EXPORT_NOT_FINITE',
        `export: ${name} holds ${values[i]} at place ${first + i}.`,
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
