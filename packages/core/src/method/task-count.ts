/** How many tasks adapters learn side by side, and whether a batch says which each sequence is of. */
import { PeftError } from '@peft/errors';
import type { MethodSpec } from './peft-method.js';

/** A model with adapters. */
interface AdaptersModel {
  readonly activeAdapters: readonly string[];
  adapter(name: string): { readonly spec: MethodSpec };
}

/** The tasks that a spec learns: the most of its parts, 1 for methods that tell none apart. */
export const taskCountOf = ({ parts }: MethodSpec): number =>
  Math.max(1, ...parts.map(({ method, config }) => method.tasks?.(config) ?? 1));

/** The tasks that adapters of a model tell apart, by default those in force. */
export const modelTasks = (
  model: AdaptersModel,
  names: readonly string[] = model.activeAdapters,
): number => Math.max(1, ...names.map((name) => taskCountOf(model.adapter(name).spec)));

/**
 * That tasks are named where, and only where, there are several.
 * @param owner whose options they are, for messages. @param count tasks that the adapter has
 * @param ids of the sequences, from 0
 * @throws PEFT_TASK_ID_MISSING for several tasks without ids; PEFT_TASK_ID_RANGE for an id that is
 *   none of them; PEFT_TASK_ID_UNUSED for ids that no adapter reads
 */
export function requireTaskIds(
  owner: string,
  count: number,
  ids: ArrayLike<number> | undefined,
): void {
  if (ids === undefined) {
    if (count === 1) return;
    throw new PeftError(
      'PEFT_TASK_ID_MISSING',
      `${owner}: the adapter learnt ${count} tasks, and it was not said which one is wanted.`,
      { hint: `name one from 0 to ${count - 1}: taskIds (CLI: --task-id N, server: "task_id")` },
    );
  }
  if (count === 1)
    throw new PeftError(
      'PEFT_TASK_ID_UNUSED',
      `${owner}: a task was named, and no adapter in force has several.`,
      { hint: 'leave it out, or open the adapter that was trained on several tasks' },
    );
  const bad = Array.from(ids).find((id) => !(Number.isInteger(id) && id >= 0 && id < count));
  if (bad === undefined) return;
  throw new PeftError(
    'PEFT_TASK_ID_RANGE',
    `${owner}: task ${bad} was named, and the adapter has tasks 0 to ${count - 1}.`,
  );
}
