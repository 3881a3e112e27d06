/** How a command ends when it cannot go on. */
import { CommanderError } from 'commander';
import { PeftError } from '@peft/errors';
import { RanksEnded } from '../ranks/launch-ranks.js';
import { systemError } from './system-error.js';
import { StopSignal, type Terminal } from './terminal.js';

/**
 * Exit codes: 1 the work failed, 2 the command line is wrong, 130 stopped by Ctrl-C, 143 by
 * SIGTERM, 129 by SIGHUP, 140 by SIGUSR2.
 */
export function reportError(error: unknown, terminal: Terminal, asJson: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof RanksEnded) return error.exitCode;
  if (terminal.signal.aborted && isStop(error)) {
    terminal.err(error instanceof PeftError ? error.message : 'stopped');
    const reason: unknown = terminal.signal.reason;
    return reason instanceof StopSignal ? reason.exitCode : 130;
  }
  const code =
    error instanceof PeftError ? error.code : ((error as { code?: string }).code ?? 'ERROR');
  const message = systemError(error) ?? (error instanceof Error ? error.message : String(error));
  if (asJson) terminal.out(JSON.stringify({ error: { code, message } }));
  terminal.err(`error ${code}: ${message}`);
  if (!(error instanceof PeftError) && process.env['PEFT_STACK'] && error instanceof Error)
    terminal.err(error.stack ?? '');
  return 1;
}

const isStop = (error: unknown): boolean =>
  (error as Error).name === 'AbortError' || (error as PeftError).code === 'PEFT_RUN_ABORTED';
