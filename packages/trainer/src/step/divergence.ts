/** A run that has diverged: its loss is no longer a number, and no step after that can be right. */
import type { ModelBatch } from '@peft/core';
import { PeftError } from '@peft/errors';
import { readInScope, readValues } from '@peft/ops';
import { byRankZero } from '../ranks/rank-messages.js';
import { sharedModel } from '../ranks/require-shared-task.js';
import type { RunContext } from '../run/run-context.js';
import { predict } from '../validation/predict.js';
import { forwardTask, prepareTask } from '../tasks/task.js';

/** The code of a run that ends as `diverged`. */
export const DIVERGED = 'PEFT_TRAIN_DIVERGED';

/** @param what for instance `the loss is NaN at step 12` */
export function divergedError<B extends ModelBatch>(
  { savedStep, state, request }: RunContext<B>,
  what: string,
  cause?: unknown,
): PeftError {
  const rate = request.schedule(state.step);
  const last =
    savedStep === undefined
      ? 'no checkpoint had been saved yet'
      : `the checkpoint of step ${savedStep} has the last good weights`;
  return new PeftError(DIVERGED, `trainer: the run has diverged: ${what}.`, {
    hint:
      `${last}; train again with a lower learning rate (it was ${rate} here; a tenth of it is ` +
      'worth a try), a longer warm-up or a smaller gradient norm, and look for extreme inputs',
    cause,
  });
}

/**
 * Asks a micro-batch of the present epoch whether the model still has a loss, without dropout, on
 * rank 0, or on all that hold the model together.
 * @throws PEFT_TRAIN_DIVERGED on all ranks when it is NaN or infinite
 */
export async function requireFiniteLoss<B extends ModelBatch>(
  run: RunContext<B>,
  cause?: unknown,
): Promise<void> {
  const loss = sharedModel(run.model)
    ? await askTogether(run)
    : await byRankZero(run.collective, () => askForLoss(run));
  if (loss !== undefined && !Number.isFinite(loss))
    throw divergedError(
      run,
      `the loss of training rows is ${loss} after step ${run.state.step}`,
      cause,
    );
}

/** @returns undefined where no row has a label */
async function askForLoss<B extends ModelBatch>(run: RunContext<B>): Promise<number | undefined> {
  const { request, model, state } = run;
  const [rows] = request.order.batches(state.epoch)[0] ?? [];
  if (!rows) return undefined;
  const packed = [await request.data.pack(rows)];
  const [batch] = await prepareTask(request.task, model, packed);
  if (!batch || request.task.count(batch) === 0) return undefined;
  // the answer decides whether the run goes on
  const [loss] = await readInScope(() =>
    readValues(request.task.loss(forwardTask(request.task, model, batch, {}), batch)),
  );
  return loss;
}

/** The same of a model that several ranks hold together, who ask together. */
async function askTogether<B extends ModelBatch>({
  request: { task, data, order },
  model,
  state,
}: RunContext<B>): Promise<number | undefined> {
  const rows = order.batches(state.epoch)[0]?.[0];
  if (!rows) return undefined;
  const batch = await data.pack(rows);
  if (task.count(batch) === 0) return undefined;
  const lengths = Array.from(rows, (row) => data.lengths[row]!);
  const asked = { lengths, pack: () => Promise.resolve(batch) };
  // as one batch, which is what is packed
  const options = { withLoss: true, batchSize: rows.length };
  const { loss } = await predict(model, { ...task, predict: () => [] }, asked, options);
  return loss;
}
