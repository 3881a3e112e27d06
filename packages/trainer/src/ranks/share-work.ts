/** Work for a step that ranks divide among themselves, whose results all of them need. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Collective } from '@peft/core';
import { PeftError } from '@peft/errors';
import type { StepPlan } from '../tasks/task.js';
import { gatherValues } from './rank-messages.js';
import type { StopAgreement } from './stop-agreement.js';

/** What a rank has done of its part. */
interface Part<T> {
  readonly results: readonly T[];
  readonly isAborted: boolean;
}

/**
 * Each rank does neighbouring pieces, as many as the others or one more or less, and yields to the
 * event loop before each.
 * @throws PEFT_RUN_ABORTED on all ranks when one was asked to stop
 */
export function shareWork(collective: Collective, stop: StopAgreement): StepPlan['share'] {
  const { rank, size } = collective;
  return async (pieces, work) => {
    const startOf = (member: number): number => Math.floor((member * pieces) / size);
    const own = await doPart(startOf(rank), startOf(rank + 1), work, stop);
    const parts = size === 1 ? [own] : await gatherValues(collective, own);
    if (parts.every(({ isAborted }) => !isAborted)) return parts.flatMap(({ results }) => results);
    stop.agree();
    throw new PeftError('PEFT_RUN_ABORTED', 'trainer: the run was stopped within a step.');
  };
}

async function doPart<T>(
  start: number,
  end: number,
  work: (piece: number) => T | Promise<T>,
  { signal }: StopAgreement,
): Promise<Part<T>> {
  const results: T[] = [];
  try {
    for (let piece = start; piece < end; piece += 1) {
      await nextTurn();
      signal?.throwIfAborted();
      results.push(await work(piece));
    }
    return { results, isAborted: false };
  } catch (error) {
    if (!signal?.aborted) throw error;
    return { results: [], isAborted: true };
  }
}
