/** The checkpoints of a run on several ranks: rank 0 keeps them, the others ask it. */
import type { Collective } from '@peft/core';
import type { StoredDtype, TensorSource } from '@peft/ops';
import type { CheckpointStore, OpenCheckpoint } from '../checkpoints/checkpoint-store.js';
import type { RunState } from '../checkpoints/run-state.js';
import { broadcastBytes, byRankZero } from './rank-messages.js';

/** A tensor without its bytes. */
interface TensorHeader {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
}

/**
 * A store that every rank calls alike.
 * @param own rank 0's; that of other ranks is left alone.
 */
export function rankStore(own: CheckpointStore, collective: Collective): CheckpointStore {
  const byZero = <T>(work: () => Promise<T>): Promise<T> => byRankZero(collective, work);
  let folder = own.folder;
  return {
    get folder() {
      return folder;
    },
    prepare: async () => {
      folder = await byZero(async () => {
        await own.prepare?.();
        return own.folder;
      });
    },
    save: (checkpoint) => byZero(() => own.save(checkpoint)),
    steps: () => byZero(() => own.steps()),
    remove: (step) => byZero(() => own.remove(step)),
    open: (step) => openForAll(own, step, collective),
  };
}

async function openForAll(
  own: CheckpointStore,
  step: number,
  collective: Collective,
): Promise<OpenCheckpoint> {
  let opened: OpenCheckpoint | undefined;
  try {
    const { state, parameters, optimizer } = await byRankZero(collective, async () => {
      opened = await own.open(step);
      return {
        state: opened.state,
        parameters: opened.parameters.map(headerOf),
        optimizer: opened.optimizer.map(headerOf),
      };
    });
    return {
      state: state as RunState,
      parameters: await tensorsForAll(parameters, opened?.parameters, collective),
      optimizer: await tensorsForAll(optimizer, opened?.optimizer, collective),
      close: () => undefined,
    };
  } finally {
    opened?.close();
  }
}

const headerOf = ({ name, dtype, shape }: TensorSource): TensorHeader => ({ name, dtype, shape });

/** @param read rank 0's, undefined on the others */
async function tensorsForAll(
  headers: readonly TensorHeader[],
  read: readonly TensorSource[] | undefined,
  collective: Collective,
): Promise<TensorSource[]> {
  const tensors: TensorSource[] = [];
  for (const [i, header] of headers.entries()) {
    const bytes = await broadcastBytes(collective, read?.[i]!.read(), 0);
    tensors.push({
      ...header,
      byteLength: bytes.length,
      read: (offset = 0, length = bytes.length - offset) => bytes.slice(offset, offset + length),
    });
  }
  return tensors;
}
