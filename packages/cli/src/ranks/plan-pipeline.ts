/** What `peft plan --pipeline` says of a model that is cut into stages. */
import { describeModel, type Architecture } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import {
  cutStages,
  gigabytes,
  planMemory,
  stageWork,
  type MemoryPlan,
  type PlannedStage,
  type PlanRequest,
} from '@peft/memory-plan';
import { pipelineCosts, type PipelineCosts } from '@peft/trainer';
import { positiveInteger } from '../options/numbers.js';
import { table } from '../terminal/format.js';
import { rankPlanOf, type RankFlags } from './plan-ranks.js';

/** A stage and its memory. */
interface PlannedPart {
  readonly stage: Pick<PlannedStage, 'first' | 'end'>;
  readonly plan: MemoryPlan;
}

/** What the plan of a pipeline tells, as `--json` prints it. */
export interface PlannedPipeline extends PipelineCosts {
  readonly ranks: number;
  readonly stages: readonly PlannedPart[];
}

/**
 * @returns undefined where each rank has the whole model
 * @throws PEFT_OPTION_INVALID, PEFT_STAGE_UNSUPPORTED
 */
export function planPipeline(flags: RankFlags, request: PlanRequest): PlannedPipeline | undefined {
  const stages = positiveInteger('plan', '--pipeline', flags.pipeline);
  check.oneOf('plan', '--stage-bits', flags.stageBits, ['16', '32']);
  if (stages === 1) return undefined;
  const ranks = positiveInteger('plan', '--ranks', flags.ranks);
  if (ranks % stages !== 0)
    throw new PeftError(
      'PEFT_OPTION_INVALID',
      `plan: --pipeline ${stages} does not divide --ranks ${ranks}.`,
      { hint: `give a multiple of ${stages}` },
    );
  const cut = cutStages({ ...request, stages });
  const parts = cut.map((stage) => ({ stage, plan: planMemory({ ...request, stage }) }));
  const { sequences, length } = request.batch!;
  const { architecture, config, head } = request;
  const description = describeModel(
    architecture as Architecture<unknown>,
    architecture.parseConfig(config),
    head,
  );
  const tokens = sequences * length;
  const width = description.hiddenSize;
  const costs = pipelineCosts({
    ...rankPlanOf(flags, parts[0]!.plan.trainableParameters, tokens),
    stages,
    largestStage: Math.max(...cut.map((stage) => stageWork(description, stage))),
    stateBytes: (tokens * width * Number(flags.stageBits)) / 8,
  });
  return {
    ranks,
    stages: parts.map(({ stage: { first, end }, plan }) => ({ stage: { first, end }, plan })),
    ...costs,
  };
}

export function formatPipeline(planned: PlannedPipeline, { link }: RankFlags): string {
  const { ranks, stages, bubble, efficiency, stateBytesPerStep, bytesPerStep } = planned;
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  return [
    `on ${ranks} ranks, ${stages.length} of which hold a model`,
    table([
      ['stage', 'blocks', 'weights', 'activations', 'peak', 'fits'],
      ...stages.map(({ stage, plan }, index) => [
        String(index),
        `${stage.first} to ${stage.end - 1}`,
        gigabytes(plan.weightBytes),
        gigabytes(plan.activationBytes),
        gigabytes(plan.peakBytes),
        plan.fits ? 'yes' : 'no',
      ]),
    ]),
    '',
    `wire               ${gigabytes(stateBytesPerStep)} of states and ${gigabytes(bytesPerStep)} of ` +
      `gradients out of a rank in a step, over ${link}`,
    `bubble             ${percent(bubble)} of each step`,
    Number.isNaN(efficiency)
      ? 'efficiency         give --tokens-per-second of one rank'
      : `efficiency         ${percent(efficiency)} of ${ranks} times one rank with the whole model`,
  ].join('\n');
}
