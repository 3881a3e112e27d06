/** An optimiser's state as named tensors, for a checkpoint; and back, byte for byte. */
import { PeftError } from '@peft/errors';
import type { TensorSource } from '@peft/ops';
import type { OptimizerState } from '../rules/optimizer.js';
import type { StateStore } from './state-store.js';
import { slotBytes, type ParameterSlots, type SlotSpec, type StateArray } from './slots.js';

/**
 * The state's tensors in a fixed order: `<parameter>.<slot>` for every slot and `<parameter>.step`
 * (I32, `[1]`). Values are read when `read` is called, also from a paged store only the part that
 * is asked for: read before the next update. What lies on a device comes to host memory first.
 */
export async function stateTensors(state: OptimizerState): Promise<TensorSource[]> {
  await state.store.bringToHost?.();
  return tensorsOf(state);
}

function tensorsOf(state: OptimizerState): TensorSource[] {
  const tensors: TensorSource[] = [];
  for (const declared of state.store.declarations()) {
    for (const slot of declared.slots) {
      const byteLength = slotBytes(slot);
      tensors.push({
        name: `${declared.parameter}.${slot.name}`,
        dtype: slot.dtype,
        shape: slot.shape,
        byteLength,
        read: (from = 0, length = byteLength - from) =>
          readSlot(state.store, declared, slot, from, from + length),
      });
    }
    const { parameter } = declared;
    const step = (): Uint8Array => bytesOf(Int32Array.of(state.steps.get(parameter)!));
    tensors.push({
      name: `${parameter}.step`,
      dtype: 'I32',
      shape: [1],
      byteLength: 4,
      read: (from = 0, length = 4 - from) => step().subarray(from, from + length),
    });
  }
  return tensors;
}

/**
 * Fills a fresh state (made by the same optimiser for the same parameters) with saved tensors; the
 * next update then gives the same bytes as it would have without the break. Every tensor must be
 * there, and no other.
 * @throws PEFT_OPTIM_STATE_MISMATCH naming the first missing, surplus or differently shaped tensor;
 *   nothing is changed then.
 */
export async function restoreState(
  state: OptimizerState,
  tensors: Iterable<TensorSource>,
): Promise<void> {
  const saved = new Map<string, TensorSource>();
  for (const tensor of tensors) saved.set(tensor.name, tensor);
  const all = tensorsOf(state);
  for (const wanted of all) {
    const got = saved.get(wanted.name);
    if (!got)
      throw mismatch(
        state,
        `${JSON.stringify(wanted.name)} is missing among the ${saved.size} saved tensors`,
      );
    if (got.dtype !== wanted.dtype || got.shape.join() !== wanted.shape.join()) {
      throw mismatch(
        state,
        `${JSON.stringify(wanted.name)} is ${got.dtype} [${got.shape.join(', ')}], ` +
          `but ${wanted.dtype} [${wanted.shape.join(', ')}] is wanted`,
      );
    }
  }
  const names = new Set(all.map(({ name }) => name));
  for (const name of saved.keys())
    if (!names.has(name)) throw mismatch(state, `${JSON.stringify(name)} belongs to no parameter`);
  await state.store.bringToHost?.();
  for (const declared of state.store.declarations()) {
    const slots = new Map(
      declared.slots.map((slot) => [
        slot,
        typedView(slot, saved.get(`${declared.parameter}.${slot.name}`)!.read()),
      ]),
    );
    const ranged = declared.slots.filter(({ span }) => span !== 'whole');
    for (const slot of declared.slots)
      if (slot.span === 'whole')
        state.store.whole(declared.parameter, slot.name).set(slots.get(slot)!);
    state.store.visit(declared.parameter, 'write', (start, _end, arrays) => {
      ranged.forEach((slot, i) => {
        const from = start / (slot.span as number);
        arrays[i]!.set(slots.get(slot)!.subarray(from, from + arrays[i]!.length));
      });
    });
    const step = saved.get(`${declared.parameter}.step`)!.read();
    state.steps.set(
      declared.parameter,
      new DataView(step.buffer, step.byteOffset, 4).getInt32(0, true),
    );
  }
}

/** Bytes `from … to` of a slot, in a fresh array. */
function readSlot(
  store: StateStore,
  declared: ParameterSlots,
  slot: SlotSpec,
  from: number,
  to: number,
): Uint8Array {
  if (slot.span === 'whole')
    return bytesOf(store.whole(declared.parameter, slot.name)).slice(from, to);
  const bytes = new Uint8Array(to - from);
  const index = declared.slots.filter(({ span }) => span !== 'whole').indexOf(slot);
  const { span } = slot;
  const elementsPerByte = span / (slot.dtype === 'F32' ? 4 : 1);
  store.visit(
    declared.parameter,
    'read',
    (start, _end, arrays) => {
      const part = bytesOf(arrays[index]!);
      const at = start / elementsPerByte;
      const first = Math.max(from, at);
      const last = Math.min(to, at + part.length);
      if (first < last) bytes.set(part.subarray(first - at, last - at), first - from);
    },
    { start: Math.floor(from * elementsPerByte), end: Math.ceil(to * elementsPerByte) },
  );
  return bytes;
}

const bytesOf = (values: StateArray | Int32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** A typed view of stored bytes, copied where they are not aligned. */
function typedView(slot: SlotSpec, bytes: Uint8Array): StateArray {
  if (slot.dtype === 'U8') return bytes;
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

const mismatch = (state: OptimizerState, problem: string): PeftError =>
  new PeftError(
    'PEFT_OPTIM_STATE_MISMATCH',
    `${state.optimizer}: the saved state does not fit: ${problem}.`,
    { hint: 'Resume with the optimiser, method and parameters that made the checkpoint.' },
  );
