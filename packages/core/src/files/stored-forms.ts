/** Parameters that a file holds otherwise than as float32 of their own shape. */
import * as tf from '@tensorflow/tfjs';
import { readFloat32, readTensor, type NewTensor } from '@peft/hub';
import type { TensorSource } from '@peft/ops';
import type { OwnedParameter } from '../method/attach-context.js';

/** A parameter's tensors in the file, where those are other; undefined where they are not. */
export function otherForms(parameter: OwnedParameter, key: string): NewTensor[] | undefined {
  const { form, storedAs, shape, value } = parameter;
  if (storedAs) {
    const numbers = value.dataSync<'int32'>();
    return [{ name: key, shape, dtype: storedAs, data: numbersOf(numbers, storedAs) }];
  }
  return form?.write(value.dataSync<'float32'>()).map((values, i) => {
    const { suffix, dtype, shape: partShape } = form.parts[i]!;
    const data = dtype === 'F32' ? values : numbersOf(values, dtype);
    return { name: `${key}${suffix}`, shape: partShape, dtype, data };
  });
}

type WholeDtype = 'U8' | 'I16' | 'I32' | 'I64';

function numbersOf(values: Iterable<number>, dtype: WholeDtype): NewTensor['data'] {
  if (dtype === 'U8') return Uint8Array.from(values);
  if (dtype === 'I16') return Int16Array.from(values);
  return dtype === 'I32' ? Int32Array.from(values) : BigInt64Array.from(values, BigInt);
}

/** The parameter itself, or what stands for its parts while a file's keys are read. */
export function partsOf(parameter: OwnedParameter): OwnedParameter[] {
  if (!parameter.form) return [parameter];
  return parameter.form.parts.map(({ suffix, shape }) => ({
    name: `${parameter.name}${suffix}`,
    shape,
    trainable: parameter.trainable,
    saved: true,
    origin: parameter.origin,
    method: parameter.method,
    site: parameter.site,
    get value() {
      return parameter.value;
    },
    hasChanged: () => parameter.hasChanged(),
    dispose: () => undefined,
  }));
}

/** @param source the file's tensor of a name */
export function assignOtherForm(
  { form, storedAs, name, shape, value }: OwnedParameter,
  source: (name: string) => TensorSource,
): void {
  if (!form && !storedAs) return;
  const values = form
    ? tf.tensor(form.read(form.parts.map(({ suffix }) => readFloat32(source(name + suffix)))), [
        ...shape,
      ])
    : tf.tensor(
        Int32Array.from(readTensor(source(name)).values as Iterable<number | bigint>, Number),
        [...shape],
        'int32',
      );
  value.assign(values);
  values.dispose();
}
