/** Flags of commands that let a model write. */
import type { Command } from 'commander';
import { PeftError, show } from '@peft/errors';
import type { WritingOptions } from '@peft/predictor';

/** As the command line gives them. */
export interface WritingFlags {
  readonly maxNewTokens?: string;
  readonly temperature?: string;
  readonly topK?: string;
  readonly topP?: string;
  readonly repetitionPenalty?: string;
  readonly beams?: string;
  readonly lengthPenalty?: string;
  readonly stop?: readonly string[];
  readonly batch?: string;
  readonly seed?: string;
}

const NUMBERS = {
  maxNewTokens: '--max-new-tokens',
  temperature: '--temperature',
  topK: '--top-k',
  topP: '--top-p',
  repetitionPenalty: '--repetition-penalty',
  beams: '--beams',
  lengthPenalty: '--length-penalty',
  seed: '--seed',
} as const;

export function addWritingFlags(command: Command, which: 'all' | 'streamed' = 'all'): Command {
  command
    .option('--max-new-tokens <number>', 'tokens of a text at most')
    .option(
      '--temperature <number>',
      'draw tokens at this temperature; 0 takes the likeliest (default), 1 with --top-k or --top-p',
    )
    .option('--top-k <number>', 'draw among that many likeliest tokens')
    .option(
      '--top-p <number>',
      'draw among the likeliest tokens that together reach this probability',
    )
    .option(
      '--repetition-penalty <number>',
      'above 1: tokens that stand in the text become less likely',
    )
    .option('--stop <text...>', 'the text ends before any of these')
    .option('--seed <number>', 'names the random numbers');
  if (which === 'streamed') return command;
  return command
    .option('--beams <number>', 'width of a beam search')
    .option('--length-penalty <number>', "exponent of the length that a beam's score is divided by")
    .option('--batch <number>', 'texts that are written at once');
}

/** @throws PEFT_OPTION_INVALID for what is no number; ranges are checked where they are used */
export function writingOptions(command: string, flags: WritingFlags): WritingOptions {
  const number = (flag: string, text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value))
      throw new PeftError(
        'PEFT_OPTION_INVALID',
        `${command}: ${flag} must be a number, got ${show(text)}.`,
      );
    return value;
  };
  const given = (Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]).flatMap((key) =>
    flags[key] === undefined ? [] : [[key, number(NUMBERS[key], flags[key])] as const],
  );
  return {
    ...Object.fromEntries(given),
    ...(flags.batch !== undefined && { batchSize: number('--batch', flags.batch) }),
    ...(flags.stop && { stopStrings: flags.stop.map(unescaped) }),
  };
}

/** `\n` and `\t` of the command line as the characters that they stand for. */
export const unescaped = (text: string): string =>
  text.replaceAll('\\n', '\n').replaceAll('\\t', '\t');
