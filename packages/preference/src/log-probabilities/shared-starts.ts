/**
 * Answers to one prompt share its rows: what sequences of a group begin with in common is computed
 * once. A row's result depends on no other row behind it, so that the answers' rows are the same as
 * those of whole sequences; gradients are equal but for the order of their sums.
 */
import type { Model, ModelBatch, ModelOutput, RunOptions } from '@peft/core';
import { ends, joined } from '@peft/data';
import { PeftError } from '@peft/errors';
import type { StepPlan } from '@peft/trainer';

/** A model's output whose rows are those of several sequences at once. */
export interface SharedOutput extends ModelOutput {
  /** Row of `hidden` of each token of the whole sequences `[N]`; absent: rows in their order. */
  readonly tokenRows?: Int32Array | undefined;
}

/** Models whose adapters need whole sequences, by the adapters in force. */
const whole = new WeakMap<Model, Set<string>>();
/** Who is told of a model's first batch that shares nothing. */
const watchers = new WeakMap<Model, NonNullable<StepPlan['warn']>>();

/** From now on the run is told once of adapters that need whole sequences (`PEFT_PROMPT_NOT_SHARED`). */
export function watchSharing(model: Model, { warn }: Pick<StepPlan, 'warn'>): void {
  if (warn) watchers.set(model, warn);
}

/**
 * Runs the model on sequences of which each `group` in turn may begin alike, as a decoder's answers
 * to one prompt do; other models, and adapters that look at whole sequences, run each by itself.
 */
export function forwardShared(
  model: Model,
  batch: ModelBatch,
  group: number,
  options: RunOptions,
): SharedOutput {
  const shared = sharedStarts(batch, group);
  const adapters = model.activeAdapters.join(' ');
  if (!shared || whole.get(model)?.has(adapters)) return model.forward(batch, options);
  try {
    const output = model.forward(shared.batch, options);
    return { ...output, tokenRows: rowsOf(shared, batch.offsets, output.offsets) };
  } catch (error) {
    if (!(error instanceof PeftError) || error.code !== 'PEFT_BATCH_SHARED') throw error;
    whole.set(model, (whole.get(model) ?? new Set()).add(adapters));
    watchers.get(model)?.(notShared(shared, batch, error));
    return model.forward(batch, options);
  }
}

/** What it costs, and why. */
function notShared(
  { batch: { sharedLengths } }: SharedStarts,
  { inputIds }: ModelBatch,
  { message }: PeftError,
): Parameters<NonNullable<StepPlan['warn']>>[0] {
  const again = sharedLengths.reduce((sum, length) => sum + length, 0);
  return {
    code: 'PEFT_PROMPT_NOT_SHARED',
    message:
      'what answers begin with is computed again for each of them, ' +
      `${again} of ${inputIds.length} tokens of the first micro-batch: ${message}`,
    hint: 'losses are the same; a method that works row by row, as LoRA does, takes less memory and time',
  };
}

/** Sequences without the rows that they share. */
interface SharedStarts {
  readonly batch: ModelBatch & { readonly sharedLengths: Int32Array };
  /** The sequence that each stands behind `[B]`. */
  readonly roots: Int32Array;
}

/** undefined where nothing is shared. */
export function sharedStarts(batch: ModelBatch, group: number): SharedStarts | undefined {
  const { inputIds, offsets, positionIds, tokenTypeIds, inputsEmbeds, padding } = batch;
  if (positionIds || tokenTypeIds || inputsEmbeds || padding) return undefined; // told by token
  const sequence = (b: number): Int32Array => inputIds.subarray(offsets[b], offsets[b + 1]);
  const roots = new Int32Array(offsets.length - 1);
  let root = 0;
  const sharedLengths = roots.map((_, b) => {
    if (b % group === 0) root = b;
    const length = b === root ? 0 : sharedLength(sequence(root), sequence(b));
    if (length === 0) root = b; // those behind it stand behind it, if at all
    roots[b] = root;
    return length;
  });
  if (sharedLengths.every((length) => length === 0)) return undefined;
  const own = Array.from(sharedLengths, (length, b) => sequence(b).subarray(length));
  return {
    batch: {
      inputIds: joined(own),
      offsets: ends(own.map(({ length }) => length)),
      sharedLengths,
    },
    roots,
  };
}

/** Tokens that two sequences begin with; one at least is the second's own. */
export function sharedLength(first: ArrayLike<number>, second: ArrayLike<number>): number {
  const most = Math.min(first.length, second.length - 1);
  let length = 0;
  while (length < most && first[length] === second[length]) length += 1;
  return length;
}

/** Where each token of the whole sequences is; virtual tokens stand in front of roots. */
function rowsOf(
  { batch: { sharedLengths }, roots }: SharedStarts,
  whole: Int32Array,
  made: Int32Array,
): Int32Array {
  const rows = new Int32Array(whole.at(-1)!);
  const firstOf = (b: number): number =>
    made[b + 1]! - (whole[b + 1]! - whole[b]! - sharedLengths[b]!);
  roots.forEach((root, b) => {
    const length = sharedLengths[b]!;
    for (let t = 0; whole[b]! + t < whole[b + 1]!; t += 1)
      rows[whole[b]! + t] = t < length ? firstOf(root) + t : firstOf(b) + t - length;
  });
  return rows;
}
