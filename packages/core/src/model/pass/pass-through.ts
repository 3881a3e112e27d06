/** One pass through an architecture and the head behind it. */
import type { Architecture, ModelBatch, ModelOutput } from '../architecture.js';
import type { ModelRun } from '../model-run.js';
import { forwardPooled, isDecoder } from '../pooled-head.js';
import type { RunHost } from '../run-options.js';
import { sharedStartOf } from '../shared-start.js';

/** A model as a pass sees it. */
export interface PassModel {
  readonly architecture: Architecture<unknown>;
  readonly config: unknown;
  readonly host: RunHost;
}

/** A pass with nothing ahead of it. */
export function passThrough(
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
