/** What a forward pass of a stage may be asked for, and the state that it begins with. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { freezeTensor } from '@peft/ops';
import type { RunHost, RunOptions } from '../run-options.js';
import { isFirstStage, StageEnd, type Stage } from './stage.js';

/**
 * What a run may be asked for, of a stage and at all.
 * @throws PEFT_CACHE_TRAINING; PEFT_STAGE_UNSUPPORTED, PEFT_STAGE_INPUT
 */
export function requireRunOptions(host: RunHost, options: RunOptions): void {
  if (options.cache && options.training)
    throw new PeftError('PEFT_CACHE_TRAINING', 'a run that trains cannot go on from a cache.', {
      hint: 'leave out options.cache, or options.training',
    });
  requireStageOptions(host, options);
}

/**
 * @throws PEFT_STAGE_UNSUPPORTED for what needs all blocks in one place; PEFT_STAGE_INPUT where a
 *   later stage lacks its state, or the first one is given some
 */
function requireStageOptions({ stage }: RunHost, options: RunOptions): void {
  const { stageInput, cache, hiddenStates, assignment } = options;
  if ((stage !== undefined && !isFirstStage(stage)) !== (stageInput !== undefined))
    throw new PeftError(
      'PEFT_STAGE_INPUT',
      stageInput
        ? 'a state was given to a forward pass that begins at the tokens.'
        : 'this model is a later stage, whose forward pass begins at the state of the one before.',
      {
        hint:
          'all stages of a model run together: train and predict of @peft/trainer do; merging, ' +
          'generating and exporting need the whole model in one process',
      },
    );
  const asked = [
    cache && 'a key-value cache',
    hiddenStates === true && 'hidden states',
    assignment && 'batches that mix adapters',
  ].find((what) => what);
  if (stage && typeof asked === 'string')
    throw new PeftError('PEFT_STAGE_UNSUPPORTED', `a stage of a model has no ${asked}.`, {
      hint: 'load the whole model',
    });
}

/** The given state, which must be of the shape that the pass has. @throws PEFT_STAGE_INPUT */
function stageState(own: Tensor2D, input: RunOptions['stageInput']): Tensor2D {
  const given = typeof input === 'function' ? input(...own.shape) : input;
  if (given && given.shape[0] === own.shape[0] && given.shape[1] === own.shape[1]) return given;
  throw new PeftError(
    'PEFT_STAGE_INPUT',
    `the stage before gave a state of [${given?.shape.join(', ') ?? ''}], this one has ` +
      `[${own.shape.join(', ')}].`,
    { hint: 'the ranks run other batches, or other adapters' },
  );
}

/**
 * What a block reads: what the pass brought there, or on the first of a later stage the given state.
 * @returns undefined for a block in front of the stage, which is skipped
 * @throws StageEnd at the block behind it
 */
export function blockInputs(
  stage: Stage | undefined,
  index: number,
  inputs: readonly Tensor2D[],
  { stageInput }: RunOptions,
): readonly Tensor2D[] | undefined {
  if (!stage) return inputs;
  if (index < stage.first) return undefined;
  if (index >= stage.end) throw new StageEnd(inputs[0]!);
  const isStart = index === stage.first && !isFirstStage(stage);
  return isStart ? [stageState(inputs[0]!, stageInput), ...inputs.slice(1)] : inputs;
}

/** Rows in front of a later stage, which reads the state that it is given in their place. */
export const rowsElsewhere = (rows: number, size: number): Tensor2D =>
  freezeTensor(tf.zeros<tf.Rank.R2>([rows, size]));
