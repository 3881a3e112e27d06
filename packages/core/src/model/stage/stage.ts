/**
 * A stage: neighbouring blocks of a model whose others lie elsewhere, on other ranks. What stands in
 * front of the first block belongs to the first stage, what stands behind the last to the last.
 *
 * The forward pass of a stage is the architecture's own. Blocks in front of the stage are skipped, its
 * first block reads the state that it was given instead of what the pass brought there, and the pass
 * ends where the next stage would begin; so neither architectures nor methods know of stages.
 */
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import type { Collective } from '../../app/collective.js';
import type { ModelDescription } from '../../description/model-description.js';

/** Which blocks a stage holds. */
export interface Stage {
  readonly first: number;
  /** The block behind its last. */
  readonly end: number;
  /** Of the whole model. */
  readonly blocks: number;
  /** The ranks that hold the others; absent where a stage is only measured. */
  readonly ranks?: StageRanks;
}

/** Ranks that hold the stages of a model: of `stages` neighbouring ones the first has the first. */
export interface StageRanks {
  readonly collective: Collective;
  readonly stages: number;
  /** Of the numbers that go from stage to stage: float32, or rounded to bfloat16. */
  readonly bits: 16 | 32;
}

/** It begins at the tokens. */
export const isFirstStage = ({ first }: Stage): boolean => first === 0;
/** It ends in what the model gives. */
export const isLastStage = ({ end, blocks }: Stage): boolean => end === blocks;

/** What a forward pass of a stage came to: the next stage's input, or its end. */
export type StageResult<T> =
  | { readonly kind: 'state'; readonly state: Tensor2D }
  | { readonly kind: 'output'; readonly output: T };

/** Thrown where the next stage begins. */
export class StageEnd extends Error {
  /** @param state `[N, D]` that the next stage goes on from. */
  constructor(readonly state: Tensor2D) {
    super('the forward pass has left this stage');
    this.name = 'StageEnd';
  }
}

/**
 * Runs a model that may be a stage.
 * @param run reads the model by `forward`, in no `tidy` of its own.
 * @returns tensors of the enclosing tidy scope
 */
export function runStage<T>(run: () => T): StageResult<T> {
  try {
    return { kind: 'output', output: run() };
  } catch (error) {
    if (error instanceof StageEnd) return { kind: 'state', state: error.state };
    throw error;
  }
}

/**
 * Why a model's blocks cannot run one after the other in different places, each from the state that
 * the one before came to; undefined where they can.
 */
export function whyNotCut(description: ModelDescription): string | undefined {
  const { layers, sites, besideState } = description;
  if (layers.encoder > 0 && layers.decoder > 0)
    return 'its decoder reads the states of its encoder';
  const blocks = layers.encoder + layers.decoder;
  const own = new Set(sites.flatMap(({ layer }) => (layer === undefined ? [] : [layer])));
  if (own.size < blocks) return `its ${blocks} blocks share the weights of ${own.size}`;
  if (besideState !== undefined)
    return `beside their states, its blocks make ${besideState}, which the loss reads`;
  return undefined;
}

/**
 * That a model can be cut into stages: its blocks form one stack, each has weights of its own, and
 * nothing but one state goes from a block to the next.
 * @throws PEFT_STAGE_UNSUPPORTED
 */
export function requireStages(description: ModelDescription, stages: number): void {
  const { modelType, layers } = description;
  const refuse = (why: string, hint: string): never => {
    throw new PeftError(
      'PEFT_STAGE_UNSUPPORTED',
      `${modelType}: it cannot be cut into ${stages} stages: ${why}.`,
      { hint },
    );
  };
  const why = whyNotCut(description);
  if (why !== undefined) refuse(why, 'leave out --pipeline; ranks can share its steps without');
  const blocks = layers.encoder + layers.decoder;
  if (stages > blocks) refuse(`it has ${blocks} blocks`, `ask for ${blocks} stages or fewer`);
}

/** That a model has this stage. @throws PEFT_STAGE_UNSUPPORTED */
export function requireStage(description: ModelDescription, stage: Stage): void {
  const { first, end, blocks, ranks } = stage;
  requireStages(description, ranks?.stages ?? 2);
  const { modelType, layers } = description;
  const own = layers.encoder + layers.decoder;
  if (blocks === own && first >= 0 && first < end && end <= blocks) return;
  throw new PeftError(
    'PEFT_STAGE_UNSUPPORTED',
    `${modelType}: there is no stage of the blocks from ${first} to before ${end} of ${blocks}.`,
    { hint: `the model has ${own} blocks; a stage has one of them at least` },
  );
}
