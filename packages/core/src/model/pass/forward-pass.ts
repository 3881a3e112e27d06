/** One forward pass, behind one ahead of it where an adapter in force asks for that. */
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { differentiable } from '@peft/ops';
import { looksAtSequences } from '../../adapter/attachment-call.js';
import type { Adapter } from '../../adapter/adapter.js';
import type { Architecture, ModelBatch, ModelOutput } from '../architecture.js';
import { ModelRun } from '../model-run.js';
import { forwardPooled, isDecoder } from '../pooled-head.js';
import type { RunHost, RunOptions } from '../run-options.js';
import { sharedStartOf } from '../shared-start.js';

/** A model as a pass sees it. */
export interface PassModel {
  readonly architecture: Architecture<unknown>;
  readonly config: unknown;
  readonly host: RunHost;
}

/**
 * Runs a model on a packed batch.
 * @throws PEFT_BATCH_SHARED where sequences that share their start meet what needs them whole;
 *   PEFT_CACHE_ADAPTER and PEFT_STAGE_UNSUPPORTED where a pass ahead is asked for and cannot be
 */
export function forwardPass(model: PassModel, batch: ModelBatch, options: RunOptions): ModelOutput {
  const run = new ModelRun(model.host, options);
  run.ahead.keep(lookedAhead(model, run, batch));
  return passThrough(model, run, batch);
}

function passThrough(
  { architecture, config, host: { description } }: PassModel,
  run: ModelRun,
  batch: ModelBatch,
): ModelOutput {
  run.layouts.useTokens(batch);
  if (batch.padding) run.layouts.usePadding(batch.padding, batch.offsets);
  run.layouts.useShared(sharedStartOf(batch, description, run.options));
  if (batch.decoder) run.layouts.use(batch.decoder.offsets);
  const { head } = description;
  if (head.kind === 'pooled-linear') return forwardPooled(architecture, run, config, batch, head);
  const output = architecture.forward(run, config, batch);
  return { ...output, isCausal: isDecoder(description) };
}

/** What each adapter keeps of the pass ahead; none is made where no adapter asks. */
function lookedAhead(
  model: PassModel,
  run: ModelRun,
  batch: ModelBatch,
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
    logitRows: 'none',
    randomParts: [...(options.randomParts ?? [0]), 'ahead'],
  };
  const hidden = differentiable<never, Tensor2D>(
    {},
    () => passThrough(model, new ModelRun(host, ahead), batch).hidden,
    () => ({}),
  );
  return new Map(
    readers.map((adapter) => [adapter, adapter.lookAhead!(hidden, run.callOf(adapter, ''))]),
  );
}
