/** Flags of commands that let a model generate text. */
import type { Command } from 'commander';
import type { WritingOptions } from '@peft/predictor';
import { finiteNumber, nonNegativeInteger } from './numbers.js';

/** As the command line gives them. */
export interface GenerationFlags {
  readonly maxNewTokens?: string;
  readonly temperature?: string;
  readonly topK?: string;
  readonly topP?: string;
  readonly repetitionPenalty?: string;
  readonly beams?: string;
  readonly lengthPenalty?: string;
  readonly stop?: readonly string[];
  readonly endToken?: readonly string[];
  readonly batch?: string;
  readonly seed?: string;
}

/** Of commands whose texts are of one task, where the adapter learnt several. */
export interface TaskIdFlag {
  readonly taskId?: string;
}

export const TASK_ID_FLAG = [
  '--task-id <number>',
  'which of the tasks that the adapter learnt the texts are of, from 0 (poly, multitask-prompt-tuning)',
] as const;

/** @throws PEFT_CONFIG_INVALID unless it is an integer >= 0 */
export const taskIdOf = (command: string, { taskId }: TaskIdFlag): number | undefined =>
  taskId === undefined ? undefined : nonNegativeInteger(command, '--task-id', taskId);

/** Flags that are numbers, and the option that each gives. */
const NUMBERS = {
  maxNewTokens: { flag: '--max-new-tokens', option: 'maxNewTokens' },
  temperature: { flag: '--temperature', option: 'temperature' },
  topK: { flag: '--top-k', option: 'topK' },
  topP: { flag: '--top-p', option: 'topP' },
  repetitionPenalty: { flag: '--repetition-penalty', option: 'repetitionPenalty' },
  beams: { flag: '--beams', option: 'beams' },
  lengthPenalty: { flag: '--length-penalty', option: 'lengthPenalty' },
  seed: { flag: '--seed', option: 'seed' },
  batch: { flag: '--batch', option: 'batchSize' },
} as const;

export function addGenerationFlags(command: Command, which: 'all' | 'streamed' = 'all'): Command {
  command
    .option('--max-new-tokens <number>', 'at most so many generated tokens for a prompt')
    .option(
      '--temperature <number>',
      'sampling at this temperature; 0: the likeliest token (default), 1 with --top-k or --top-p',
    )
    .option('--top-k <number>', 'sample among that many likeliest tokens')
    .option(
      '--top-p <number>',
      'sample among the likeliest tokens that together reach this probability',
    )
    .option(
      '--repetition-penalty <number>',
      'above 1: tokens that stand in the text become less likely',
    )
    .option('--stop <text...>', 'the text ends before any of these')
    .option(
      '--end-token <token...>',
      "tokens that end a text beside the checkpoint's own: --end-token '<|im_end|>'",
    )
    .option('--seed <number>', 'seed of the sampling');
  if (which === 'streamed') return command;
  return command
    .option('--beams <number>', 'width of a beam search')
    .option('--length-penalty <number>', "exponent of the length that a beam's score is divided by")
    .option('--batch <number>', 'prompts that are generated for at once');
}

/** @throws PEFT_OPTION_INVALID for what is no number; ranges are checked where they are used */
export function generationOptions(command: string, flags: GenerationFlags): WritingOptions {
  const given = (Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]).flatMap((key) => {
    const text = flags[key];
    const { flag, option } = NUMBERS[key];
    return text === undefined ? [] : [[option, finiteNumber(command, flag, text)] as const];
  });
  const { stop, endToken } = flags;
  return {
    ...Object.fromEntries(given),
    ...(stop ? { stopStrings: stop.map(unescaped) } : {}),
    ...(endToken ? { endTokens: endToken } : {}),
  };
}

/** `\n` and `\t` of the command line as the characters that they stand for. */
export const unescaped = (text: string): string =>
  text.replaceAll('\\n', '\n').replaceAll('\\t', '\t');
