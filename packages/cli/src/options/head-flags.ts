/** `--head` and `--outputs` of commands that look at a model without its weights. */
import type { Command } from 'commander';
import type { HeadOptions } from '@peft/core';
import { check } from '@peft/errors';
import { positiveInteger } from './numbers.js';

export interface HeadFlags {
  readonly head: string;
  readonly outputs: string;
}

const HEADS_WITH_OUTPUTS = [
  'pooled-linear',
  'sequence-classification',
  'token-classification',
] as const;
const HEADS_WITHOUT_OUTPUTS = ['none', 'masked-lm', 'causal-lm', 'seq2seq-lm'] as const;
const HEADS = [...HEADS_WITH_OUTPUTS, ...HEADS_WITHOUT_OUTPUTS];

export const addHeadFlags = (command: Command): Command =>
  command
    .option('--head <kind>', `what sits on the backbone: ${HEADS.join(', ')}`, 'pooled-linear')
    .option('--outputs <number>', 'classes of the head', '2');

/** @throws PEFT_CONFIG_INVALID */
export function headOptions(command: string, { head, outputs }: HeadFlags): HeadOptions {
  check.oneOf(command, '--head', head, HEADS);
  const number = positiveInteger(command, '--outputs', outputs);
  const withOutputs = HEADS_WITH_OUTPUTS.find((kind) => kind === head);
  return withOutputs
    ? { kind: withOutputs, outputs: number }
    : { kind: head as (typeof HEADS_WITHOUT_OUTPUTS)[number] };
}
