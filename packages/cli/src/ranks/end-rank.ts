/** How a rank's command ends that did not come to its end. */
import { setTimeout as delay } from 'node:timers/promises';
import { PeftError } from '@peft/errors';
import type { MpiRanks } from '@peft/mpi';
import { reportError } from '../terminal/report-error.js';
import type { Terminal } from '../terminal/terminal.js';
import { RanksEnded } from './launch-ranks.js';

/** What all ranks found is said by the first: it ends the others within this time. */
const FIRST_SPEAKS_MS = 1500;

/**
 * After Ctrl-C all ranks leave together. After an error this one says what was wrong and ends all of
 * them.
 * @throws RanksEnded with the command's exit code
 */
export async function endRank(
  error: unknown,
  ranks: MpiRanks,
  terminal: Terminal,
  asJson: boolean,
): Promise<never> {
  const isFirst = ranks.rank === 0;
  if (error instanceof PeftError && error.code === 'PEFT_RUN_ABORTED') {
    await ranks.close();
    // an error of one rank would cut off what the first has to say
    throw new RanksEnded(isFirst ? reportError(error, terminal, asJson) : 0);
  }
  if (!isFirst) {
    await delay(FIRST_SPEAKS_MS);
    terminal.err(`on rank ${ranks.rank}:`);
  }
  ranks.abort(reportError(error, terminal, asJson));
  throw error;
}

/** A rank beside the first says nothing of its run. */
export const silent = (terminal: Terminal): Terminal => ({
  ...terminal,
  out: () => undefined,
  write: () => undefined,
  err: () => undefined,
});
