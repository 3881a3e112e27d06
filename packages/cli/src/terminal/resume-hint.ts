/** How a fit that did not come to its end is resumed, in the command's own words. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PeftError } from '@peft/errors';
import { asTyped } from './command-words.js';

interface FitLine {
  /** The words after `peft`, as they were typed. */
  readonly argv: readonly string[];
  readonly output: string | undefined;
  readonly isResumed: boolean;
}

/**
 * @returns the error of a fit with a hint that can be typed: the same command with `--resume` after
 *   Ctrl-C, after a checkpoint could not become a model, and for a folder with checkpoints
 */
export function withResumeHint(error: unknown, line: FitLine): unknown {
  if (!(error instanceof PeftError)) return error;
  const { isResumed } = line;
  const command = resumeCommand(line);
  switch (error.code) {
    case 'PEFT_RUN_ABORTED':
      return reworded(error, `${problemOf(error)} Resume with:\n  ${command}`);
    case 'PEFT_PREDICTOR_WRITE':
      return reworded(error, problemOf(error), `the checkpoints are kept; resume with: ${command}`);
    case 'PEFT_FOLDER_NOT_EMPTY': {
      const step = lastCheckpoint(line.output);
      if (isResumed || step === undefined) return error;
      return reworded(
        error,
        `fit: ${line.output} holds a run that did not finish (its last checkpoint is of step ${step}).`,
        `resume it with: ${command}\n  or name another --output for a new run`,
      );
    }
    default:
      return error;
  }
}

/** The typed line with `--resume`, once. */
function resumeCommand({ argv, isResumed }: FitLine): string {
  return asTyped(isResumed ? argv : [...argv, '--resume']);
}

const problemOf = ({ message }: PeftError): string => message.split('\n  hint: ')[0]!;

const reworded = ({ code, cause }: PeftError, message: string, hint?: string): PeftError =>
  new PeftError(code, message, { hint, cause });

/** Step of the newest checkpoint in a run's folder; undefined where there is none. */
export function lastCheckpoint(output: string | undefined): number | undefined {
  const folder = output === undefined ? undefined : join(output, 'checkpoints');
  if (folder === undefined || !existsSync(folder)) return undefined;
  const steps = readdirSync(folder).flatMap((name) => {
    const [, step] = /^checkpoint-(\d+)$/.exec(name) ?? [];
    return step === undefined ? [] : [Number(step)];
  });
  return steps.length === 0 ? undefined : Math.max(...steps);
}
