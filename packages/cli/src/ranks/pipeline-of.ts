/** How ranks hold their model together, by a fit's flags. */
import type { StageRanks } from '@peft/core';
import { PeftError } from '@peft/errors';
import type { FitInput } from '../options/fit-options.js';

/**
 * @param ranks how many there are or will be
 * @returns undefined for a model that each rank holds whole
 * @throws PEFT_OPTION_INVALID for flags that do not go together
 */
export function pipelineOf(
  { pipeline = 1, stageBits, test = [] }: Pick<FitInput, 'pipeline' | 'stageBits' | 'test'>,
  ranks: number,
): Pick<StageRanks, 'stages' | 'bits'> | undefined {
  if (pipeline === 1) {
    if (stageBits === undefined) return undefined;
    throw invalid('--stage-bits is given without --pipeline', 'leave it out, or give both');
  }
  if (ranks % pipeline !== 0)
    throw invalid(
      `--pipeline ${pipeline} does not divide ${ranks} ${ranks === 1 ? 'process' : 'ranks'}`,
      `start a multiple of ${pipeline} with --ranks, mpirun or srun`,
    );
  if (test.length > 0) throw needsWhole();
  return { stages: pipeline, bits: stageBits === '16' ? 16 : 32 };
}

/**
 * Whether ranks share the blocks of their base.
 * @param ranks how many there are or will be
 * @throws PEFT_OPTION_INVALID for flags that do not go together
 */
export function isBaseShared(
  { shardBase = false, pipeline = 1, test = [] }: Pick<FitInput, 'shardBase' | 'pipeline' | 'test'>,
  ranks: number,
): boolean {
  if (!shardBase) return false;
  if (ranks === 1)
    throw invalid(
      '--shard-base is given, and one process has nobody to share with',
      'start several with --ranks, mpirun or srun',
    );
  if (pipeline > 1)
    throw invalid(
      '--shard-base is given together with --pipeline, whose stages hold their blocks whole',
      'give one of them: peft plan says which suits the link',
    );
  if (test.length > 0) throw needsWhole();
  return true;
}

const needsWhole = (): PeftError =>
  invalid(
    '--test needs the whole model in one process',
    'score it afterwards: peft evaluate OUTPUT TABLE',
  );

const invalid = (what: string, hint: string): PeftError =>
  new PeftError('PEFT_OPTION_INVALID', `fit: ${what}.`, { hint });
