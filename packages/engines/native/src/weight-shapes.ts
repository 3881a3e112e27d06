/** Shapes of frozen weights and of what is multiplied by them. */
import { PeftError } from '@peft/errors';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { NativeWeight } from './native-weight.js';

/** @throws PEFT_WEIGHT_SHAPE for anything but a matrix */
export function matrixShape(name: string, shape: readonly number[]): [number, number] {
  if (shape.length !== 2)
    throw new PeftError(
      'PEFT_WEIGHT_SHAPE',
      `${name}: a frozen weight has two axes, got [${shape.join(', ')}].`,
    );
  return [shape[0]!, shape[1]!];
}

/** `[N, out]` of a product. */
export function outputShape({ name, shape }: NativeWeight, x: Tensor2D): [number, number] {
  const [rows, columns] = shape as [number, number];
  if (x.shape[1] !== columns) throw shapeError(name, 'linear', `[N, ${columns}]`, x.shape);
  return [x.shape[0], rows];
}

export function shapeError(
  name: string,
  operation: string,
  expected: string,
  got: readonly number[],
): PeftError {
  return new PeftError(
    'PEFT_SHAPE_MISMATCH',
    `${operation}: ${name} takes ${expected}, got [${got.join(', ')}].`,
  );
}
