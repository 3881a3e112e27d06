/** What the small models that adapters have beside a model make of a batch. */
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import type { Adapter } from '../../adapter/adapter.js';
import type { Companion } from '../../method/attach-context.js';
import type { ModelBatch } from '../architecture.js';
import { ModelRun } from '../model-run.js';
import type { RunHost, RunOptions } from '../run-options.js';
import { passThrough, type PassModel } from './pass-through.js';

/**
 * The last hidden state `[N, D]` of each companion of the adapters in force, on the tape.
 * @throws PEFT_STAGE_UNSUPPORTED where the model's other blocks lie elsewhere; PEFT_METHOD_UNSUPPORTED
 *   for an architecture whose blocks cannot be counted otherwise
 */
export function besideIt(
  model: PassModel,
  { host, options }: ModelRun,
  batch: ModelBatch,
): ReadonlyMap<Adapter, Tensor2D> {
  const owners = options.assignment ? [] : host.active.filter(({ companion }) => companion);
  return new Map(owners.map((owner) => [owner, hiddenOf(model, options, batch, owner)]));
}

function hiddenOf(
  { architecture, config, host }: PassModel,
  options: RunOptions,
  batch: ModelBatch,
  { name, companion }: Adapter,
): Tensor2D {
  const { blocks } = companion!;
  if (host.stage)
    throw new PeftError(
      'PEFT_STAGE_UNSUPPORTED',
      `adapter "${name}" runs a small model beside the whole one, and only some blocks are here.`,
      { hint: 'load the whole model on each rank, or choose another method' },
    );
  const shorter = architecture.repeatBlocks?.(config, [...Array(blocks).keys()]);
  if (shorter === undefined)
    throw new PeftError(
      'PEFT_METHOD_UNSUPPORTED',
      `adapter "${name}": ${architecture.family} makes no smaller model of its first ${blocks} blocks.`,
      { hint: 'choose another method' },
    );
  const run = new ModelRun(hostOf(host, companion!), {
    ...options,
    hiddenStates: false,
    headRowsOnly: false,
    logitRows: 'none',
    randomParts: [...(options.randomParts ?? [0]), `beside ${name}`],
    cache: options.cache?.beside(name),
  });
  return passThrough({ architecture, config: shorter, host: run.host }, run, batch).hidden;
}

/** The model as its companion has it. */
const hostOf = (
  { description, adapter, baseWeight, holds, constants }: RunHost,
  { parameters }: Companion,
): RunHost => ({
  description,
  active: [],
  adapter,
  baseWeight: (name) => parameters.get(name)?.value ?? baseWeight(name),
  holds: (name) => parameters.has(name) || holds(name),
  trains: true,
  stage: undefined,
  constants,
});
