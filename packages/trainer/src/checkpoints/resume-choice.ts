/** Which checkpoint a run resumes from. */
import { basename, dirname, resolve } from 'node:path';
import { check, PeftError, show } from '@peft/errors';
import type { ModelBatch } from '@peft/core';
import type { RunContext } from '../run/run-context.js';
import type { TrainOptions } from '../run/train-options.js';
import type { CheckpointStore } from './checkpoint-store.js';
import { restoreCheckpoint } from './run-checkpoints.js';

/**
 * Puts the run where its options say: at the newest checkpoint that is whole (`resume: true`; a
 * damaged one is passed over with a warning), at a certain one (`resumeFrom`), or at the start.
 * @returns the checkpoint's step, undefined at the start.
 * @throws PEFT_CHECKPOINT_EXISTS when the store is not empty and nobody asked to resume,
 *   PEFT_CHECKPOINT_MISSING, PEFT_CHECKPOINT_SETTINGS, PEFT_CHECKPOINT_DAMAGED when no checkpoint
 *   is whole, or the one that was asked for is not
 */
export async function resumeRun<B extends ModelBatch>(
  run: RunContext<B>,
): Promise<number | undefined> {
  const { store, options } = run;
  const steps = (await store?.steps()) ?? [];
  const wanted = wantedStep(options, store);
  if (wanted !== undefined) {
    if (!steps.includes(wanted)) throw missing(wanted, steps);
    await restoreCheckpoint(run, wanted);
    return wanted;
  }
  if (options.resume) return resumeNewest(run, steps);
  if (steps.length)
    throw new PeftError(
      'PEFT_CHECKPOINT_EXISTS',
      `trainer: the checkpoint store holds a run already (steps ${steps.join(', ')}).`,
      { hint: 'resume it with resume: true, or choose another folder' },
    );
  return undefined;
}

/** @param steps ascending */
async function resumeNewest<B extends ModelBatch>(
  run: RunContext<B>,
  steps: readonly number[],
): Promise<number | undefined> {
  let damage: PeftError | undefined;
  for (const step of [...steps].reverse()) {
    try {
      await restoreCheckpoint(run, step);
      return step;
    } catch (error) {
      if (!(error instanceof PeftError && error.code === 'PEFT_CHECKPOINT_DAMAGED')) throw error;
      damage ??= error;
      run.emit({
        type: 'run/warned',
        code: error.code,
        message: `${error.message.split('\n')[0]} It is passed over.`,
        hint: 'the run resumes from the checkpoint before it, if there is one',
      });
    }
  }
  if (damage) throw damage;
  return undefined;
}

/**
 * @throws PEFT_CONFIG_INVALID for what names no step, PEFT_CHECKPOINT_MISSING for a checkpoint in
 *   another folder than the run's
 */
function wantedStep(
  { resume, resumeFrom }: Pick<TrainOptions, 'resume' | 'resumeFrom'>,
  store: CheckpointStore | undefined,
): number | undefined {
  const wanted = resumeFrom ?? (typeof resume === 'number' ? resume : undefined);
  if (typeof wanted !== 'string') {
    if (wanted !== undefined) check.nonNegativeInteger('trainer', 'resumeFrom', wanted);
    return wanted;
  }
  const digits = /^(?:checkpoint-)?(\d+)$/.exec(basename(wanted))?.[1];
  if (digits === undefined || !Number.isSafeInteger(Number(digits)))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `trainer: resumeFrom must be a step or a checkpoint, got ${show(wanted)}.`,
      { hint: 'for instance 12, "checkpoint-12" or the path of that folder' },
    );
  if (wanted !== basename(wanted) && store?.folder !== resolve(dirname(wanted)))
    throw new PeftError(
      'PEFT_CHECKPOINT_MISSING',
      `trainer: ${show(wanted)} is not one of this run's checkpoints.`,
      {
        hint:
          store?.folder === undefined
            ? 'this run keeps its checkpoints in memory'
            : `they are in ${store.folder}`,
      },
    );
  return Number(digits);
}

function missing(step: number, steps: readonly number[]): PeftError {
  return new PeftError(
    'PEFT_CHECKPOINT_MISSING',
    `trainer: there is no checkpoint of step ${step} to resume from.`,
    {
      hint: steps.length ? `there are those of steps ${steps.join(', ')}` : 'the store is empty',
    },
  );
}
