/** What `peft plan` says of a run that ranks share. */
import type { Command } from 'commander';
import { PeftError } from '@peft/errors';
import { gigabytes, type MemoryPlan } from '@peft/memory-plan';
import { gradientCopies, rankCosts, type RankCosts, type RankPlan } from '@peft/trainer';
import { positiveInteger, positiveNumber } from '../options/numbers.js';

/** Flags of a plan that has to do with ranks. */
export interface RankFlags {
  readonly ranks: string;
  readonly microBatches: string;
  readonly link: string;
  readonly tokensPerSecond?: string;
  readonly pipeline: string;
  readonly stageBits: string;
  readonly shardBase?: boolean;
}

/** What is assumed of a message between machines. */
const LATENCY_SECONDS = 1e-3;

export const addRankFlags = (command: Command): Command =>
  command
    .option('--micro-batches <number>', 'micro-batches of an optimiser step', '1')
    .option('--ranks <number>', 'processes that share each step: memory is that of one', '1')
    .option(
      '--pipeline <stages>',
      'stages that the model is cut into, each on a rank of its own; memory is that of each',
      '1',
    )
    .option('--stage-bits <number>', 'width of the numbers between stages: 32 or 16', '32')
    .option(
      '--shard-base',
      'ranks share the frozen blocks, each keeps a part of them; says whether stages suit the link better',
    )
    .option('--link <rate>', 'bandwidth between ranks', '1Gb/s')
    .option(
      '--tokens-per-second <number>',
      'what one rank computes, as a fit says: for the efficiency',
    );

/** Copies of the gradients that a rank holds. */
export const gradientSumsOf = ({ microBatches, ranks }: RankFlags): number =>
  gradientCopies(
    positiveInteger('plan', '--micro-batches', microBatches),
    positiveInteger('plan', '--ranks', ranks),
  );

/** @returns undefined for a run of one process */
export function planRanks(
  flags: RankFlags,
  { trainableParameters }: MemoryPlan,
  tokensOfMicroBatch: number,
): (RankCosts & { readonly ranks: number }) | undefined {
  const ranks = positiveInteger('plan', '--ranks', flags.ranks);
  if (ranks === 1) return undefined;
  const costs = rankCosts(rankPlanOf(flags, trainableParameters, tokensOfMicroBatch));
  return { ranks, ...costs };
}

/** The run and its link as the flags have them. */
export function rankPlanOf(
  flags: RankFlags,
  trainableParameters: number,
  tokensOfMicroBatch: number,
): RankPlan {
  const { tokensPerSecond } = flags;
  const rate =
    tokensPerSecond === undefined
      ? undefined
      : positiveNumber('plan', '--tokens-per-second', tokensPerSecond);
  return {
    trainableParameters,
    ranks: positiveInteger('plan', '--ranks', flags.ranks),
    microBatches: positiveInteger('plan', '--micro-batches', flags.microBatches),
    // without a rate nothing is said of the efficiency
    microBatchSeconds: rate === undefined ? Number.NaN : tokensOfMicroBatch / rate,
    bytesPerSecond: bytesPerSecond(flags.link),
    latencySeconds: LATENCY_SECONDS,
  };
}

export function formatRanks(
  {
    ranks,
    bytesPerStep,
    exchangeSeconds,
    waitSeconds,
    largestShare,
    efficiency,
  }: RankCosts & {
    readonly ranks: number;
  },
  { link }: RankFlags,
): string {
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  return [
    `on ${ranks} ranks, each with the memory above`,
    `wire               ${gigabytes(bytesPerStep)} out of and into each rank in a step: ` +
      `${exchangeSeconds.toFixed(2)} s over ${link}` +
      (Number.isNaN(waitSeconds)
        ? ''
        : `, ${waitSeconds.toFixed(2)} s of them after the last backward pass`),
    `busiest rank       ${percent(largestShare)} of each step`,
    Number.isNaN(efficiency)
      ? 'efficiency         give --tokens-per-second of one rank'
      : `efficiency         ${percent(efficiency)} of ${ranks} times one rank`,
  ].join('\n');
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** `1Gb/s` are bits, `100MB/s` are bytes. @throws PEFT_OPTION_INVALID */
function bytesPerSecond(link: string): number {
  const [, number, unit, kind] = /^(\d+(?:\.\d+)?) ?([kMGT]?)(b|bit|B)\/s$/.exec(link) ?? [];
  const rate = Number(number) * (UNITS[unit ?? ''] ?? Number.NaN);
  if (rate > 0) return kind === 'B' ? rate : rate / 8;
  throw new PeftError(
    'PEFT_OPTION_INVALID',
    `plan: --link must be a rate such as 1Gb/s or 100MB/s, got ${JSON.stringify(link)}.`,
  );
}
