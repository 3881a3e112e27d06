/**
 * Where a rank stands when models are cut into stages: `stages` neighbouring ranks hold one model,
 * and the groups of them share each step's micro-batches as single ranks would.
 */
import { SINGLE_RANK, type Collective, type Model, type StageRanks } from '@peft/core';
import { PeftError } from '@peft/errors';

/** A rank's place among the stages of a model and the groups that hold one. */
export interface PipelinePlace {
  /** Of a model; 1 where each rank has all of it. */
  readonly stages: number;
  /** This rank's. */
  readonly stage: number;
  /** How many ranks or groups of ranks hold a whole model. */
  readonly replicas: number;
  readonly replica: number;
}

/**
 * @throws PEFT_STAGE_RANKS when the stages of a model do not divide the ranks, or the model was loaded
 *   for other ranks
 */
export function placeOf(
  { stage, weights }: Pick<Model, 'stage' | 'weights'>,
  collective: Collective = SINGLE_RANK,
): PipelinePlace {
  const { rank, size } = collective;
  const own = weights.shards?.collective ?? (stage && requireRanks(stage.ranks).collective);
  if (own && own !== collective)
    throw new PeftError(
      'PEFT_STAGE_RANKS',
      'trainer: the model lies on other ranks than those of the run.',
      { hint: 'give train the collective that the model was loaded with' },
    );
  return stage
    ? rankPlace(requireRanks(stage.ranks))
    : { stages: 1, stage: 0, replicas: size, replica: rank };
}

/** @throws PEFT_STAGE_RANKS when the stages do not divide the ranks */
export function rankPlace({
  collective: { rank, size },
  stages,
}: Pick<StageRanks, 'collective' | 'stages'>): PipelinePlace {
  if (size % stages !== 0)
    throw new PeftError(
      'PEFT_STAGE_RANKS',
      `trainer: ${stages} stages do not divide ${size} ranks.`,
      { hint: `start a multiple of ${stages} ranks` },
    );
  return {
    stages,
    stage: rank % stages,
    replicas: size / stages,
    replica: Math.floor(rank / stages),
  };
}

/** @throws PEFT_STAGE_RANKS for a stage that was loaded without its ranks */
export function requireRanks(ranks: StageRanks | undefined): StageRanks {
  if (ranks) return ranks;
  throw new PeftError('PEFT_STAGE_RANKS', 'trainer: nobody holds the other stages of the model.', {
    hint: 'load it with the ranks of its stage',
  });
}
