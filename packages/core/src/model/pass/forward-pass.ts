/** One forward pass, behind one ahead of it where an adapter in force asks for that. */
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { differentiable } from '@peft/ops';
import { looksAtSequences } from '../../adapter/attachment-call.js';
import type { Adapter } from '../../adapter/adapter.js';
import type { ModelBatch, ModelOutput } from '../architecture.js';
import { ModelRun } from '../model-run.js';
import { besideIt } from './companion-pass.js';
import { passThrough, type PassModel } from './pass-through.js';
import type { RunOptions } from '../run-options.js';

/**
 * Runs a model on a packed batch.
 * @throws PEFT_BATCH_SHARED where sequences that share their start meet what needs them whole;
 *   PEFT_CACHE_ADAPTER and PEFT_STAGE_UNSUPPORTED where a pass ahead is asked for and cannot be
 */
export function forwardPass(model: PassModel, batch: ModelBatch, options: RunOptions): ModelOutput {
  const run = new ModelRun(model.host, options);
  const beside = besideIt(model, run, batch);
  run.ahead.keep(new Map([...beside, ...lookedAhead(model, run, batch, beside)]));
  const output = passThrough(model, run, batch);
  const auxiliary = [...beside].flatMap(([{ companion }, hidden]) =>
    companion!.lossWeight > 0 ? [{ hidden, weight: companion!.lossWeight }] : [],
  );
  return auxiliary.length > 0 ? { ...output, auxiliary } : output;
}

/** What each adapter keeps of the pass ahead; none is made where no adapter asks. */
function lookedAhead(
  model: PassModel,
  run: ModelRun,
  batch: ModelBatch,
  beside: ReadonlyMap<Adapter, Tensor2D>,
): ReadonlyMap<Adapter, Tensor2D> {
  const { host, options } = run;
  const readers = options.assignment ? [] : host.active.filter(({ lookAhead }) => lookAhead);
  const [first] = readers;
  if (!first) return new Map();
  if (options.cache) throw looksAtSequences(first.wrappedSites[0]?.path ?? first.name);
  if (host.stage)
    throw new PeftError(
      'PEFT_STAGE_UNSUPPORTED',
      `adapter "${first.name}" looks ahead at the last hidden state, which a stage of a model has not.`,
      { hint: 'load the whole model' },
    );
  const ahead: RunOptions = {
    ...options,
    hiddenStates: false,
    checkpointing: false,
    headRowsOnly: false,
    logitRows: 'none',
    randomParts: [...(options.randomParts ?? [0]), 'ahead'],
  };
  const hidden = differentiable<never, Tensor2D>(
    {},
    () => {
      const first = new ModelRun(host, ahead);
      first.ahead.keep(beside);
      return passThrough(model, first, batch).hidden;
    },
    () => ({}),
  );
  return new Map(
    readers.map((adapter) => [adapter, adapter.lookAhead!(hidden, run.callOf(adapter, ''))]),
  );
}
