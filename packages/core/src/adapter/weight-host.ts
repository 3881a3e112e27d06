/** The model's side of attaching: base weights, where there are any. */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import type { FrozenWeight, Weight } from '@peft/ops';

/** Base tensors as an adapter needs them while it attaches. */
export interface WeightHost {
  /** float32 copy of a base parameter in its logical shape; the caller disposes. */
  readBase(parameterName: string): Tensor;
  /** A base matrix or vector itself, owned by the model. */
  matrix(parameterName: string): Weight;
  vector(parameterName: string): Tensor;
  /** Makes a frozen weight of the engine from a matrix; disposes `weight`. */
  freezeMatrix(parameterName: string, weight: Tensor2D): FrozenWeight;
}

/** @throws PEFT_MODEL_WITHOUT_WEIGHTS, saying whose value was asked for */
export function noWeights(name: string): never {
  throw new PeftError(
    'PEFT_MODEL_WITHOUT_WEIGHTS',
    `${name}: its value was asked for on a description without weights.`,
    { hint: 'load the model first' },
  );
}
