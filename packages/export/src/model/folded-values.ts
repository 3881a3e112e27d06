/** The values that a model is exported with, a tensor at a time. */
import type { Model, ParameterSpec } from '@peft/core';
import { PeftError } from '@peft/errors';
import { heldValues } from '@peft/ops';

/**
 * float32 values of a parameter with the adapter folded in, in its logical order: `[out, in]` for a
 * linear weight.
 * @throws PEFT_MERGE_INEXACT, PEFT_EXPORT_NOT_FINITE
 */
export function foldedValues(model: Model, { name }: Pick<ParameterSpec, 'name'>): Float32Array {
  const tensor = model.readFoldedParameter(name);
  const values = tensor.dataSync<'float32'>(); // once
  tensor.dispose();
  requireFinite(name, values, 0);
  return values;
}

/** Values of a piece, unless a row has more. */
const PIECE = 2 ** 21;

/**
 * The same in pieces of whole rows: a large matrix that no adapter changes is never in memory as a
 * whole. A piece counts until the next one is asked for.
 * @throws PEFT_MERGE_INEXACT, PEFT_EXPORT_NOT_FINITE
 */
export function* foldedPieces(
  model: Model,
  { name }: Pick<ParameterSpec, 'name'>,
): Generator<Float32Array> {
  let first = 0;
  for (const piece of model.readFoldedRows(name, PIECE)) {
    try {
      const values = heldValues(piece);
      requireFinite(name, values, first);
      first += values.length;
      yield values;
    } finally {
      piece.dispose();
    }
  }
}

/** @param first place of the first value in the parameter */
function requireFinite(name: string, values: Float32Array, first: number): void {
  if (areFinite(values)) return;
  const i = values.findIndex((value) => !Number.isFinite(value));
  throw new PeftError(
    'PEFT_EXPORT_NOT_FINITE',
    `export: ${name} holds ${values[i]} at place ${first + i}.`,
    { hint: 'the training diverged: go back to an earlier checkpoint, or a smaller rate' },
  );
}

/** 0 times a value is 0, or no number where the value is none or infinite; in four sums at once. */
function areFinite(values: Float32Array): boolean {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = values.length - (values.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += values[i]! * 0;
    b += values[i + 1]! * 0;
    c += values[i + 2]! * 0;
    d += values[i + 3]! * 0;
  }
  for (let i = whole; i < values.length; i += 1) a += values[i]! * 0;
  return a + b + c + d === 0;
}

/** `[rows, columns]` → `[columns, rows]`. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1)
      out[column * rows + row] = values[row * columns + column]!;
  return out;
}
