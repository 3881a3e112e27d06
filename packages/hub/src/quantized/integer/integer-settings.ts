/** What the forms of integer codes have in common in their settings. */
import type { FormSettings } from '../form-settings.js';
import type { StoredForm } from '../quantized-form.js';
import { blockOf } from './grouped-codes.js';

const LARGEST_GROUP = 2 ** 20;

/** Inputs that share a scale; `undefined` for −1: all of an output. */
export function groupSizeOf(
  settings: FormSettings,
  field: string,
  fallback: number,
): number | undefined {
  const size = settings.integer(
    field,
    fallback,
    `-1 or a positive integer of at most ${LARGEST_GROUP}`,
    (value) => value === -1 || (value > 0 && value <= LARGEST_GROUP),
  );
  return size === -1 ? undefined : size;
}

/** Packed where its groups are whole blocks, else two bytes a value. */
export function integerForm(
  bits: number,
  groupSize: number | undefined,
  skipModules: readonly string[],
): StoredForm {
  // rows of most models are multiples of 1024
  const blockSize = blockOf(groupSize ?? 1024);
  return bits === 4 && blockSize >= 32
    ? { format: 'int4', blockSize, doubleQuantization: false, skipModules }
    : { format: 'bf16', doubleQuantization: false, skipModules };
}
