/**
 * Where an optimiser's state lives. Optimisers say which slots a parameter has and then visit them
 * range by range; the store decides what is in memory. The one in this file keeps everything there,
 * `paged-state-store.ts` does not.
 */
import { PeftError } from '@peft/errors';
import type { StatePages } from './state-pages.js';
import { zeroSlot, type ParameterSlots, type StateArray } from './slots.js';

/**
 * Called with the elements `start … end` of a parameter and the parts of its slots for them, in the
 * order of the slots whose span is a number. The arrays are valid during the call only; `start` is
 * a multiple of 256.
 */
export type RangeVisitor = (start: number, end: number, arrays: readonly StateArray[]) => void;

/** Where an optimiser's state lives; memory, a file and a device are here, others fit in by it. */
export interface StateStore {
  /** Bytes of all slots. */
  readonly totalBytes: number;
  /**
   * Bytes of them that memory holds (buffers included); the device's memory where there are
   * `pages`.
   */
  readonly residentBytes: number;
  /**
   * Makes zeroed slots; called once, by `init`.
   * @throws PEFT_OPTIM_PARAMETER_DUPLICATE, PEFT_OPTIM_STORE_TAKEN the second time.
   */
  declare(declarations: readonly ParameterSlots[]): void;
  /** What was declared, in that order. */
  declarations(): readonly ParameterSlots[];
  /** A slot of span `whole`, live: writes to it count. */
  whole(parameter: string, slot: string): StateArray;
  /**
   * Visits the elements of a parameter in ascending order; with `only`, at least the ranges that
   * overlap those elements. With `write`, what the visitor changes is kept.
   */
  visit(
    parameter: string,
    access: 'read' | 'write',
    visitor: RangeVisitor,
    only?: { readonly start: number; readonly end: number },
  ): void;
  /**
   * Brings what the next update needs first into memory, off the main thread where the store can.
   * Worth awaiting before a backward pass.
   */
  prefetch(): Promise<void>;
  /**
   * There when `visit` cannot reach all of the state at once, since some of it lies on a device: until
   * the next update it can afterwards.
   */
  bringToHost?(): Promise<void>;
  /**
   * There when the state lies on a device: updates are tensor operations on its pages then
   * (`deviceStateStore`).
   */
  readonly pages?: StatePages;
  /** Frees the state. Idempotent. */
  dispose(): void;
}

/** Keeps every slot in memory, whole. */
export function memoryStateStore(): StateStore {
  const entries = new Map<
    string,
    { declared: ParameterSlots; arrays: StateArray[]; ranged: StateArray[] }
  >();
  let bytes = 0;
  let taken = false;
  let disposed = false;
  const entry = (parameter: string) => {
    if (disposed) throw stateDisposed();
    return entries.get(parameter) ?? unknownParameter(parameter);
  };
  return {
    get totalBytes() {
      return bytes;
    },
    get residentBytes() {
      return bytes;
    },
    declare(declarations) {
      if (taken) throw storeTaken();
      assertUnique(declarations);
      taken = true;
      for (const declared of declarations) {
        const arrays = declared.slots.map(zeroSlot);
        entries.set(declared.parameter, {
          declared,
          arrays,
          ranged: arrays.filter((_, i) => declared.slots[i]!.span !== 'whole'),
        });
        bytes += arrays.reduce((sum, array) => sum + array.byteLength, 0);
      }
    },
    declarations: () => [...entries.values()].map(({ declared }) => declared),
    whole(parameter, slot) {
      const { declared, arrays } = entry(parameter);
      return (
        arrays[declared.slots.findIndex(({ name, span }) => name === slot && span === 'whole')] ??
        unknownSlot(parameter, slot)
      );
    },
    visit(parameter, _access, visitor) {
      const { declared, ranged } = entry(parameter);
      if (declared.elements > 0 && ranged.length > 0) visitor(0, declared.elements, ranged);
    },
    prefetch: () => Promise.resolve(),
    dispose() {
      entries.clear();
      bytes = 0;
      disposed = true;
    },
  };
}

/** A PEFT_OPTIM_STATE_DISPOSED. */
export const stateDisposed = (): PeftError =>
  new PeftError(
    'PEFT_OPTIM_STATE_DISPOSED',
    'optim: the optimiser state was disposed and is used again.',
    { hint: 'Make a new state with optimizer.init(parameters).' },
  );

/** A PEFT_OPTIM_STORE_TAKEN. */
export const storeTaken = (): PeftError =>
  new PeftError(
    'PEFT_OPTIM_STORE_TAKEN',
    'optim: the state store belongs to another optimiser state already.',
    { hint: 'Make a store for each init.' },
  );

/** @throws PEFT_OPTIM_PARAMETER_DUPLICATE. */
export function assertUnique(declarations: readonly ParameterSlots[]): void {
  const seen = new Set<string>();
  for (const { parameter } of declarations) {
    if (seen.has(parameter)) {
      throw new PeftError(
        'PEFT_OPTIM_PARAMETER_DUPLICATE',
        `optim: two parameters are named ${JSON.stringify(parameter)}.`,
        { hint: 'Give each trainable parameter its own name; state is kept by name.' },
      );
    }
    seen.add(parameter);
  }
}

/** @throws PEFT_OPTIM_PARAMETER_UNKNOWN */
export const unknownParameter = (parameter: string): never => {
  throw new PeftError(
    'PEFT_OPTIM_PARAMETER_UNKNOWN',
    `optim: there is no state for the parameter ${JSON.stringify(parameter)}.`,
    {
      hint: 'Pass every parameter that will be updated to optimizer.init first.',
    },
  );
};

/** @throws PEFT_OPTIM_PARAMETER_UNKNOWN naming the slot, too */
export const unknownSlot = (parameter: string, slot: string): never => {
  throw new PeftError(
    'PEFT_OPTIM_PARAMETER_UNKNOWN',
    `optim: the parameter ${JSON.stringify(parameter)} has no whole state ${JSON.stringify(slot)}.`,
  );
};
