/** The tensors that a quantised weight is made of, checked before they are read. */
import type { StoredDtype, TensorSource } from '@peft/ops';
import { readFloat32 } from '../tensor-values.js';
import { partsError } from './parts-error.js';
import type { StoredTensors } from './quantized-form.js';

export const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

const shapeText = ({ dtype, shape }: Pick<TensorSource, 'dtype' | 'shape'>): string =>
  `${dtype} [${shape.join(', ')}]`;

/** @throws PEFT_QUANTIZED_PARTS where it is missing or of another type */
export function typedPart(
  tensors: StoredTensors,
  name: string,
  dtypes: readonly StoredDtype[],
): TensorSource {
  const source = tensors.get(name);
  if (!source) throw partsError(name, 'it is missing');
  if (!dtypes.includes(source.dtype))
    throw partsError(name, `${shapeText(source)}, expected ${dtypes.join(' or ')}`);
  return source;
}

/** @throws PEFT_QUANTIZED_PARTS where it is missing, of another type or of another shape */
export function shapedPart(
  tensors: StoredTensors,
  name: string,
  dtypes: readonly StoredDtype[],
  shape: readonly number[],
): TensorSource {
  const source = typedPart(tensors, name, dtypes);
  if (source.shape.join() !== shape.join())
    throw partsError(name, `${shapeText(source)}, expected [${shape.join(', ')}]`);
  return source;
}

/** The values of scales. @throws PEFT_QUANTIZED_PARTS for one that is not finite */
export const finiteValues = (source: TensorSource): Float32Array =>
  requireFinite(source.name, readFloat32(source));

/** @param name of the tensor that they come from. @throws PEFT_QUANTIZED_PARTS */
export function requireFinite(name: string, values: Float32Array): Float32Array {
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw partsError(name, `value ${wrong} is ${values[wrong]}`);
  return values;
}
