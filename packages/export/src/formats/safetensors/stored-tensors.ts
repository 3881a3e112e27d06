/**
 * The tensors of a checkpoint under the names and in the cuts that its family stores them in. Most
 * are parameters of ours; matrices of experts are stored for each expert with gate and up apart, or
 * for all experts in one, and routers under another name.
 */
import type { ModelDescription, ParameterSpec } from '@peft/core';
import { transposed } from '../../model/folded-values.js';

/** A tensor of the file. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** The parameters that it is made of, one behind the other. */
  readonly parameters: readonly ParameterSpec[];
  /** Its values. @param valuesOf merged values of a parameter, in its logical order */
  values(valuesOf: (spec: ParameterSpec) => Float32Array): Float32Array;
}

/** All tensors, in the order of the parameters. */
export function storedTensors({ parameters, sites }: ModelDescription): StoredTensor[] {
  const routers = new Set(
    sites.flatMap((site) =>
      site.kind === 'linear' && site.role === 'router' ? [site.weight] : [],
    ),
  );
  const joined = new Map<string, ParameterSpec[]>();
  const tensors: StoredTensor[] = [];
  for (const spec of parameters) {
    const [pieces] = spec.pieces ?? [];
    const whole = pieces?.find(({ index }) => index !== undefined);
    if (whole) {
      const known = joined.get(whole.name);
      if (known) known.push(spec);
      else {
        const all = [spec];
        joined.set(whole.name, all);
        tensors.push(ofAllExperts(whole.name, all, spec.entry!.count));
      }
    } else if (pieces)
      tensors.push(...pieces.map(({ name }, i) => partOf(spec, name, i, pieces.length)));
    else
      tensors.push(partOf(spec, (routers.has(spec.name) && spec.aliases?.[0]) || spec.name, 0, 1));
  }
  return tensors;
}

/** The i-th of `count` equal cuts of a parameter's rows. */
function partOf(spec: ParameterSpec, name: string, i: number, count: number): StoredTensor {
  const [rows = 1, ...rest] = shapeOf(spec);
  return {
    name,
    shape: spec.shape.length === 0 ? [] : [rows / count, ...rest],
    parameters: [spec],
    values(valuesOf) {
      const values = inStoredOrder(spec, valuesOf(spec));
      const size = values.length / count;
      return count === 1 ? values : values.subarray(i * size, (i + 1) * size);
    },
  };
}

/** Those of all experts in one tensor. */
const ofAllExperts = (
  name: string,
  parameters: readonly ParameterSpec[],
  count: number,
): StoredTensor => ({
  name,
  shape: [count, ...shapeOf(parameters[0]!)],
  parameters,
  values(valuesOf) {
    const size = shapeOf(parameters[0]!).reduce((product, length) => product * length, 1);
    const all = new Float32Array(count * size);
    for (const spec of parameters)
      all.set(inStoredOrder(spec, valuesOf(spec)), spec.entry!.index * size);
    return all;
  },
});

/** As a plain checkpoint stores it. */
const shapeOf = ({ shape, transposed: isTurned }: ParameterSpec): readonly number[] =>
  isTurned ? [...shape].reverse() : shape;

function inStoredOrder(spec: ParameterSpec, values: Float32Array): Float32Array {
  const [rows, columns] = spec.shape;
  return spec.transposed ? transposed(values, rows!, columns!) : values;
}
