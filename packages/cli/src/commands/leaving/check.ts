/** `peft check`: who loads an adapter as it is. */
import type { Command } from 'commander';
import { checkAdapter, TARGET_NAMES, type AdapterVerdict } from '@peft/export';
import type { Terminal } from '../../terminal/terminal.js';

export function addCheck(program: Command, terminal: Terminal): void {
  program
    .command('check')
    .summary('say who loads an adapter as it is, and why not')
    .description('Says who loads an adapter as it is, why not, and what to do.')
    .argument('<adapter>', "an adapter's folder, or what fit saved")
    .option('--for <target>', TARGET_NAMES.join(', '))
    .option('--json', 'print a JSON object for each, a line each')
    .addHelpText('after', '\nExamples:\n  peft check out\n  peft check ./adapter --for vllm')
    .action((adapter: string, flags: { readonly for?: string; readonly json?: boolean }) => {
      for (const verdict of checkAdapter(adapter, flags.for))
        terminal.out(flags.json ? JSON.stringify(verdict) : lineOf(verdict));
    });
}

const lineOf = ({ target, loads, reasons, advice }: AdapterVerdict): string =>
  [
    `${target.padEnd(16)} ${loads ? 'loads it' : 'does not load it'}`,
    ...(reasons.length ? [`: ${reasons.join('; ')}`] : []),
    ...(advice === undefined ? [] : [` (${advice})`]),
  ].join('');
