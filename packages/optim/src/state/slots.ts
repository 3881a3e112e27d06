/** The arrays of state that an optimiser asks for, a parameter at a time. */
import type { ParameterGroup } from '../parameters/parameter.js';

/** One array of state that belongs to a parameter. It starts as zeros. */
export interface SlotSpec {
  /** The reference library's own name, for instance `exp_avg` or `absmax1`. */
  readonly name: string;
  readonly dtype: 'F32' | 'U8';
  readonly shape: readonly number[];
  /**
   * Parameter elements per state element: 1 for a state of the parameter's size, 256 for one value
   * per block of 256. `whole`: the slot has another layout (row and column means); it is always
   * resident and read by `whole()`.
   */
  readonly span: 1 | 256 | 'whole';
}

/** What an optimiser asks a store for: the slots of one parameter. */
export interface ParameterSlots {
  readonly parameter: string;
  /** Elements of the parameter. */
  readonly elements: number;
  readonly slots: readonly SlotSpec[];
  /** Of the parameter. A store may keep a group together. */
  readonly group?: ParameterGroup;
}

/** The elements of a slot: float32, or codes of 8 bits. */
export type StateArray = Float32Array | Uint8Array;

/** Elements of a slot. */
export function slotLength(slot: SlotSpec): number {
  return slot.shape.reduce((product, size) => product * size, 1);
}

/** Bytes of a slot. */
export function slotBytes(slot: SlotSpec): number {
  return slotLength(slot) * (slot.dtype === 'F32' ? 4 : 1);
}

/** A zeroed array for a slot. */
export function zeroSlot(slot: SlotSpec): StateArray {
  return slot.dtype === 'F32'
    ? new Float32Array(slotLength(slot))
    : new Uint8Array(slotLength(slot));
}
