/** `g_idx`: the group that each input of a weight belongs to. */
import { readTensor } from '../../tensor-values.js';
import { shapedPart } from '../parts.js';
import { partsError } from '../parts-error.js';
import type { StoredTensors } from '../quantized-form.js';

/**
 * `undefined` where the checkpoint has none, or its groups follow each other in equal runs;
 * quantising inputs in the order of their activations mixes them.
 * @throws PEFT_QUANTIZED_PARTS for a group that there is not
 */
export function columnGroups(
  tensors: StoredTensors,
  name: string,
  columns: number,
  groups: number,
): Int32Array | undefined {
  if (!tensors.get(name)) return undefined;
  const source = shapedPart(tensors, name, ['I32'], [columns]);
  const found = readTensor(source).values as Int32Array;
  // compressed-tensors writes −1 everywhere where there is no order
  if (found.every((group) => group === -1)) return undefined;
  const wrong = found.findIndex((group) => group < 0 || group >= groups);
  if (wrong >= 0)
    throw partsError(
      source.name,
      `column ${wrong} is of group ${found[wrong]}, and there are ${groups}`,
    );
  const size = columns / groups;
  return found.every((group, k) => group === Math.floor(k / size)) ? undefined : found;
}
