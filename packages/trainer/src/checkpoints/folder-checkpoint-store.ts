/**
 * Checkpoints on disk: a folder `checkpoint-<step>` each, written under a temporary name, flushed
 * and renamed, with `parameters.safetensors`, `optimizer.safetensors` and `trainer_state.json`.
 */
import { access, constants, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { PeftError } from '@peft/errors';
import {
  openSafetensors,
  readJsonObject,
  removeAbandoned,
  writeFileAtomic,
  writeFolderAtomic,
  writeSafetensors,
  type TensorStore,
} from '@peft/hub';
import type { TensorSource } from '@peft/ops';
import type { Checkpoint, CheckpointStore, OpenCheckpoint } from './checkpoint-store.js';
import { parseRunState } from './run-state.js';

/** A store in `folder`, which is made when the first checkpoint is saved. */
export function folderCheckpointStore(folder: string): CheckpointStore {
  const pathOf = (step: number): string => join(resolve(folder), `checkpoint-${step}`);
  return {
    folder: resolve(folder),
    prepare: async () => {
      try {
        await requireWritable(resolve(folder));
        await removeAbandoned(folder, { reused: [process.pid] });
      } catch (cause) {
        throw writeError(resolve(folder), cause);
      }
      await refuseImpostors(resolve(folder));
    },
    save: async (checkpoint) => {
      const path = pathOf(checkpoint.state.step);
      try {
        await removeAbandoned(folder);
        await writeFolderAtomic(path, (temporary) => writeCheckpointFiles(temporary, checkpoint), {
          replace: true,
        });
      } catch (cause) {
        throw writeError(path, cause);
      }
      return path;
    },
    steps: async () =>
      (await entriesOf(folder))
        .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
        .map(Number)
        .sort((a, b) => a - b),
    open: async (step) => {
      const path = pathOf(step);
      const opened = await openCheckpointFolder(path);
      if (opened.state.step === step) return opened;
      opened.close();
      throw damaged(path, `its trainer_state.json is of step ${opened.state.step}.`);
    },
    remove: async (step) => rm(pathOf(step), { recursive: true, force: true }),
  };
}

async function writeCheckpointFiles(
  folder: string,
  { state, parameters, optimizer }: Checkpoint,
): Promise<void> {
  await writeSafetensors(join(folder, 'parameters.safetensors'), parameters);
  await writeSafetensors(join(folder, 'optimizer.safetensors'), optimizer);
  await writeFileAtomic(join(folder, 'trainer_state.json'), `${JSON.stringify(state, null, 2)}\n`);
}

/** Opens a `checkpoint-<step>` folder. @throws PEFT_CHECKPOINT_MISSING, PEFT_CHECKPOINT_DAMAGED */
export async function openCheckpointFolder(path: string): Promise<OpenCheckpoint> {
  const entries = await entriesOf(path);
  if (entries.length === 0)
    throw new PeftError('PEFT_CHECKPOINT_MISSING', `trainer: there is no checkpoint at ${path}.`, {
      hint: 'check the path',
    });
  const opened: TensorStore[] = [];
  const close = (): void => opened.forEach((store) => store.close());
  const open = (name: string): TensorSource[] => {
    const store = openSafetensors(join(path, name));
    opened.push(store);
    return store.names().map((tensor) => store.get(tensor)!);
  };
  try {
    const state = parseRunState(
      readJsonObject(join(path, 'trainer_state.json')),
      join(path, 'trainer_state.json'),
    );
    return {
      state,
      parameters: open('parameters.safetensors'),
      optimizer: open('optimizer.safetensors'),
      close,
    };
  } catch (cause) {
    close();
    if (cause instanceof PeftError && cause.code === 'PEFT_CHECKPOINT_DAMAGED') throw cause;
    throw damaged(path, messageOf(cause), cause);
  }
}

const damaged = (path: string, reason: string, cause?: unknown): PeftError =>
  new PeftError(
    'PEFT_CHECKPOINT_DAMAGED',
    `trainer: the checkpoint ${path} cannot be read: ${reason}`,
    { hint: 'resume from another checkpoint, or start again', cause },
  );

/** @throws PEFT_CHECKPOINT_DAMAGED for what is named like a checkpoint and can be none */
async function refuseImpostors(folder: string): Promise<void> {
  for (const name of await entriesOf(folder)) {
    const step = /^checkpoint-(\d+)$/.exec(name)?.[1];
    if (step === undefined) continue;
    const path = join(folder, name);
    if (!(await stat(path)).isDirectory())
      throw new PeftError('PEFT_CHECKPOINT_DAMAGED', `trainer: ${path} is a file, no checkpoint.`, {
        hint: 'a checkpoint is a folder; move the file away',
      });
    if (String(Number(step)) !== step || !Number.isSafeInteger(Number(step)))
      throw new PeftError('PEFT_CHECKPOINT_DAMAGED', `trainer: ${path} is of no possible step.`, {
        hint: 'steps are whole numbers below 2⁵³, without leading zeros; move the folder away',
      });
  }
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Asks of the folder, or of the nearest one above it that exists, whether it may be written. */
async function requireWritable(folder: string): Promise<void> {
  try {
    await readdir(folder);
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder)
      throw error;
    await requireWritable(dirname(folder));
  }
}

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: make room, then resume',
  EDQUOT: 'the disk quota is used up: make room, then resume',
  EACCES: 'the folder may not be written: change its permissions or choose another',
  EPERM: 'the folder may not be written: change its permissions or choose another',
  EROFS: 'the disk is read-only: choose another folder',
  ENOTDIR: 'a part of the path is a file: choose another folder',
  EEXIST: 'a part of the path is a file: choose another folder',
};

function writeError(path: string, cause: unknown): PeftError {
  const hint =
    HINTS[(cause as NodeJS.ErrnoException | undefined)?.code ?? ''] ??
    'resume from the checkpoint before it';
  return new PeftError(
    'PEFT_CHECKPOINT_WRITE',
    `trainer: ${path} could not be written: ${messageOf(cause)}. Earlier checkpoints are whole.`,
    { hint, cause },
  );
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
