/** What `peft plan --shard-base` says of ranks that share the blocks of their base. */
import { describeModel, requireShards } from '@peft/core';
import { PeftError } from '@peft/errors';
import { gigabytes, type MemoryPlan, type PlanRequest } from '@peft/memory-plan';
import { shardCosts, type ShardCosts } from '@peft/trainer';
import { positiveInteger } from '../options/numbers.js';
import { planPipeline } from './plan-pipeline.js';
import { formatRanks, planRanks, rankPlanOf, type RankFlags } from './plan-ranks.js';

/** What the plan of a shared base tells, as `--json` prints it. */
interface PlannedShardCosts extends ShardCosts {
  readonly ranks: number;
  /** Of as many stages as there are ranks, over the same link; none where the model cannot be cut so. */
  readonly pipelineEfficiency: number | undefined;
}

/**
 * Ranks that share the base of a plan, where they do.
 * @throws PEFT_OPTION_INVALID, PEFT_SHARDS_UNSUPPORTED
 */
export function shardRanksOf(flags: RankFlags, request: PlanRequest): number | undefined {
  if (!flags.shardBase) return undefined;
  const ranks = positiveInteger('plan', '--ranks', flags.ranks);
  const invalid = (what: string, hint: string): PeftError =>
    new PeftError('PEFT_OPTION_INVALID', `plan: ${what}.`, { hint });
  if (ranks === 1) throw invalid('--shard-base needs several --ranks', 'give --ranks, too');
  if (positiveInteger('plan', '--pipeline', flags.pipeline) > 1)
    throw invalid(
      '--shard-base and --pipeline are given, and stages hold their blocks whole',
      'give one of them',
    );
  const { architecture, config, head } = request;
  const description = describeModel(
    architecture as Parameters<typeof describeModel>[0],
    architecture.parseConfig(config),
    head,
  );
  requireShards(description);
  return ranks;
}

/** What ranks cost and how that is told; undefined for a run of one process. */
export function planOfRanks(
  flags: RankFlags,
  request: PlanRequest,
  plan: MemoryPlan,
): { readonly costs: object; readonly text: string } | undefined {
  const shards = planShards(flags, request, plan);
  if (shards) return { costs: shards, text: formatShards(shards, plan, flags) };
  const { sequences, length } = request.batch!;
  const costs = planRanks(flags, plan, sequences * length);
  return costs && { costs, text: formatRanks(costs, flags) };
}

/** @returns undefined where each rank has all blocks */
function planShards(
  flags: RankFlags,
  request: PlanRequest,
  { shards, trainableParameters }: MemoryPlan,
): PlannedShardCosts | undefined {
  if (!shards) return undefined;
  const { ranks, blocks, sharedBytes } = shards;
  const { sequences, length } = request.batch!;
  const plan = rankPlanOf(flags, trainableParameters, sequences * length);
  return {
    ranks,
    ...shardCosts({ ...plan, blocks, sharedBytes }),
    pipelineEfficiency: efficiencyInStages(flags, request, ranks),
  };
}

function efficiencyInStages(
  flags: RankFlags,
  request: PlanRequest,
  ranks: number,
): number | undefined {
  try {
    const whole = { ...request, shardRanks: undefined };
    return planPipeline({ ...flags, pipeline: String(ranks) }, whole)?.efficiency;
  } catch (error) {
    if (error instanceof PeftError && error.code === 'PEFT_STAGE_UNSUPPORTED') return undefined;
    throw error;
  }
}

function formatShards(
  {
    ranks,
    blockBytesPerStep,
    bytesPerStep,
    exchangeSeconds,
    efficiency,
    pipelineEfficiency,
  }: PlannedShardCosts,
  { shards }: MemoryPlan,
  { link }: RankFlags,
): string {
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  const { sharedBytes, largestBlockBytes } = shards!;
  return [
    `on ${ranks} ranks that share the base, each with the memory above`,
    `base               1/${ranks} of ${gigabytes(sharedBytes)} of blocks on each, and one of ` +
      `${gigabytes(largestBlockBytes)} while it computes beside one that arrives`,
    `wire               ${gigabytes(blockBytesPerStep)} of blocks into each rank in a step, while it ` +
      `computes, and ${gigabytes(bytesPerStep)} of gradients: ${exchangeSeconds.toFixed(2)} s over ${link}`,
    ...(Number.isNaN(efficiency)
      ? ['efficiency         give --tokens-per-second of one rank']
      : [
          `efficiency         ${percent(efficiency)} of ${ranks} times one rank with the whole model`,
          pipelineEfficiency === undefined
            ? `instead            it cannot be cut into ${ranks} stages`
            : `instead            ${percent(pipelineEfficiency)} in stages: ` +
              (pipelineEfficiency > efficiency
                ? `--pipeline ${ranks} suits this link better`
                : '--shard-base suits this link'),
        ]),
  ].join('\n');
}
