/** Parameters that a file holds otherwise than as float32 of their own shape. */
import * as tf from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
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
    toHost: () => parameter.toHost(),
    dispose: () => undefined,
  }));
}

/**
 * @param source the file's tensor of a name
 * @throws PEFT_ADAPTER_MISMATCH for numbers that the parameter cannot hold
 */
export function assignOtherForm(
  parameter: OwnedParameter,
  source: (name: string) => TensorSource,
): void {
  const { form, storedAs, name, shape, value } = parameter;
  if (!form && !storedAs) return;
  const values = form
    ? tf.tensor(form.read(form.parts.map(({ suffix }) => readFloat32(source(name + suffix)))), [
        ...shape,
      ])
    : tf.tensor(wholeNumbers(parameter, source(name)), [...shape], 'int32');
  value.assign(values);
  values.dispose();
}

/** A file's indices, none of which may lead out of what they count in. */
function wholeNumbers(
  { name, shape: [rows = 1], below = 2 ** 31 }: OwnedParameter,
  source: TensorSource,
): Int32Array {
  const { values } = readTensor(source);
  const limits = typeof below === 'number' ? [below] : below;
  const rowLength = limits.length === 1 ? values.length : values.length / rows;
  return Int32Array.from({ length: values.length }, (_, i) => {
    const number = Number(values[i]);
    const limit = limits[Math.floor(i / rowLength)]!;
    if (Number.isInteger(number) && number >= 0 && number < limit) return number;
    throw new PeftError(
      'PEFT_ADAPTER_MISMATCH',
      `${name}: its number ${i} is ${values[i]}, and a whole number from 0 to ${limit - 1} is asked for.`,
      { hint: 'the file is spoilt, or was made for another model' },
    );
  });
}
