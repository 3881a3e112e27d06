/** That all ranks hold the same adapter, which each of them updates by itself. */
import { createHash } from 'node:crypto';
import { PeftError } from '@peft/errors';
import type { RunContext } from '../run/run-context.js';
import { gatherValues } from './rank-messages.js';

/**
 * Compares the values of all parameters. They differ where a method changes some of them in its
 * forward pass, which not every rank runs at every site; or where machines compute otherwise.
 * @throws PEFT_RANKS_DIFFER on all ranks, naming the first parameter that differs
 */
export async function requireSameAdapters({
  collective,
  owned,
  state,
  model,
}: Pick<RunContext, 'collective' | 'owned' | 'state' | 'model'>): Promise<void> {
  if (collective.size === 1) return;
  // 20 bytes for each parameter, once before each checkpoint
  const own = await Promise.all(
    owned.map(async ({ parameter }) =>
      createHash('sha1')
        .update(new Uint8Array((await parameter.value.data()).slice().buffer))
        .digest('base64'),
    ),
  );
  const all = await gatherValues(collective, own);
  const other = all.findIndex((hashes) => hashes.some((hash, i) => hash !== all[0]![i]));
  if (other < 0) return;
  const { key } = owned[all[other]!.findIndex((hash, i) => hash !== all[0]![i])]!;
  throw new PeftError(
    'PEFT_RANKS_DIFFER',
    `trainer: after step ${state.step} rank ${other} has other values of ${key} than rank 0.`,
    {
      hint: model.stage
        ? 'the method changes its parameters where a block runs, which is on one stage alone: ' +
          'leave out --pipeline'
        : 'the machines compute differently (fix PEFT_NATIVE_ISA), or the method changes its ' +
          'parameters in the forward pass, which a rank without micro-batches does not run',
    },
  );
}
