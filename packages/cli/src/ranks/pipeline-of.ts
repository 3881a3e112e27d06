/** How a fit's flags cut its model into stages. */
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
  if (test.length > 0)
    throw invalid(
      '--test needs the whole model in one process',
      'score it afterwards: peft evaluate OUTPUT TABLE',
    );
  return { stages: pipeline, bits: stageBits === '16' ? 16 : 32 };
}

const invalid = (what: string, hint: string): PeftError =>
  new PeftError('PEFT_OPTION_INVALID', `fit: ${what}.`, { hint });
