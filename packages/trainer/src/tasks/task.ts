/**
 * The seam between the loop and what a model is trained for: a loss that is a sum with a count, and
 * predictions.
 */
import type { Scalar } from '@tensorflow/tfjs';
import type { Model, ModelBatch, ModelOutput, RunOptions, TrainEventOf } from '@peft/core';

/** A mean in the making: Σ value over `count` things. */
export interface Measure {
  readonly sum: number;
  readonly count: number;
}

/** What a task measures beside its loss, by name. */
export type NamedMeasures = Readonly<Record<string, Measure>>;

/**
 * Told of measures of a micro-batch; a step's metrics are the means of its micro-batches'. What has
 * to be read of tensors comes as a promise (`readValues` of `@peft/ops`).
 */
export type Report = (measures: NamedMeasures | Promise<NamedMeasures>) => void;

/** The optimiser step that batches are prepared for. */
export interface StepPlan {
  /** Of the run. */
  readonly seed: number;
  /** Steps done before. */
  readonly step: number;
  readonly signal?: AbortSignal | undefined;
  /** Of those that do the step together, this process; 0 alone writes what all of them know. */
  readonly rank: number;
  /** Tells whoever watches the run. Absent where nobody does. */
  readonly warn?: ((warning: StepWarning) => void) | undefined;
  /**
   * Does pieces of work, each on one of the ranks, which call this alike.
   * @param work gives what `structuredClone` can copy; it must not depend on who does it.
   * @returns what it gave for each piece, on every rank.
   */
  share<T>(pieces: number, work: (piece: number) => T | Promise<T>): Promise<T[]>;
}

/** What a task tells of a step: the fields of a `run/warned` event. */
export type StepWarning = Pick<TrainEventOf<'run/warned'>, 'code' | 'message' | 'hint'>;

/** Of what is no step of a run: this process does all. */
const NO_STEP: StepPlan = Object.freeze({
  seed: 0,
  step: 0,
  rank: 0,
  share: async (pieces, work) => {
    const results = [];
    for (let piece = 0; piece < pieces; piece += 1) results.push(await work(piece));
    return results;
  },
} satisfies StepPlan);

/**
 * What a model is trained for. `B` is the packed batch with whatever labels the task reads, `P` the
 * prediction of one example.
 *
 * The loss is a sum over the things that count (examples, or labelled tokens), so that any split of
 * a batch into micro-batches gives the same mean and the same gradient: the loop divides by the
 * count of the whole batch.
 */
export interface Task<B extends ModelBatch = ModelBatch, P = unknown> {
  /** For instance `classification`. */
  readonly name: string;
  /** Options that change the loss; a resumed run must have the same. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** How many things the loss of this batch sums over. Known before the model runs. */
  count(batch: B): number;
  /**
   * Σ loss, a float32 scalar of the enclosing tidy scope.
   * @param report told what the loss came across, where a training step asks for it.
   */
  loss(output: ModelOutput, batch: B, report?: Report): Scalar;
  /**
   * One prediction per example of the batch, in its order. Runs outside the tape. The output's tensors
   * are there until it has returned: all readings (`readValues` of `@peft/ops`) begin before the first
   * is waited for.
   */
  predict(output: ModelOutput, batch: B): readonly P[] | Promise<readonly P[]>;
  /**
   * Sees all micro-batches of a step, or of a scoring, before the first of them runs, and gives back
   * the `B` that run in their place: with what the loss needs of the whole batch, so that a split
   * changes nothing. What runs the model is done by `step.share`, so that several ranks do it once.
   */
  prepare?(model: Model, batches: readonly B[], step: StepPlan): Promise<readonly ModelBatch[]>;
  /**
   * What the task itself has to remember between two steps, JSON-safe: a checkpoint keeps it, and
   * `restore` gets it back before a resumed run's first step. Default: nothing.
   */
  state?(): unknown;
  /** @throws PEFT_CHECKPOINT_DAMAGED for what is none of its states */
  restore?(state: unknown): void;
  /** Runs the model; default `model.forward(batch, options)`. */
  forward?(model: Model, batch: B, options: RunOptions): ModelOutput;
}

/**
 * Runs the model as the task wants it. Tensors of the result belong to the enclosing tidy scope.
 */
export function forwardTask<B extends ModelBatch>(
  task: Task<B>,
  model: Model,
  batch: B,
  options: RunOptions,
): ModelOutput {
  return task.forward ? task.forward(model, batch, options) : model.forward(batch, options);
}

/** Batches as the task wants them. @param step default: none of a run, as when a model is scored. */
export async function prepareTask<B extends ModelBatch>(
  task: Pick<Task<B>, 'prepare'>,
  model: Model,
  batches: readonly B[],
  step: StepPlan = NO_STEP,
): Promise<readonly B[]> {
  if (!task.prepare) return batches;
  // a task gives back batches of its own kind; named so, a task of more would be none of less
  return (await task.prepare(model, batches, step)) as readonly B[];
}
