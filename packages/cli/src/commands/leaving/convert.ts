/** `peft convert`: an adapter's files for another tool, or any method as LoRA. */
import type { Command } from 'commander';
import { allFormats, convertAdapter } from '@peft/export';
import { addPluginFlag, ENGINES } from '../../options/engine-flags.js';
import type { Terminal } from '../../terminal/terminal.js';
import { formatLine, RANK_FLAG } from './export.js';
import { writeTrained, type WritingFlags } from './write-trained.js';

interface ConvertFlags extends WritingFlags {
  readonly model?: string;
}

const ADAPTER_FORMATS = allFormats.filter(({ isAdapter }) => isAdapter);

export function addConvert(program: Command, terminal: Terminal): void {
  const command = program
    .command('convert')
    .summary("write an adapter in another tool's layout, or as LoRA")
    .description(
      "Writes an adapter in another tool's layout. --to lora makes any method that can be merged " +
        'into LoRA, and says how much of its change that keeps.',
    )
    .argument('<adapter>', "an adapter's folder, or what fit saved")
    .requiredOption('--to <format>', ADAPTER_FORMATS.map(({ name }) => name).join(', '))
    .option(...RANK_FLAG)
    .option('--model <base>', 'its base; default: the one that the adapter names')
    .requiredOption('-o, --output <path>', 'where it goes: a folder, or a file (gguf-lora)')
    .option('--type <name>', 'how weights are stored, where the format has several');
  addPluginFlag(
    command.option('--engine <name>', `${ENGINES.join(', ')}, or one of a plug-in`, 'auto'),
  )
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `\nFormats:\n${ADAPTER_FORMATS.map(formatLine).join('\n')}\n\n` +
        'Examples:\n' +
        '  peft convert out --to lora --rank 16 -o lora\n' +
        '  peft convert ./adapter --model ./llama --to mlx -o mlx-adapter',
    )
    .action(async (adapter: string, flags: ConvertFlags) =>
      terminal.out(await convert(adapter, flags, terminal)),
    );
}

const convert = (adapter: string, flags: ConvertFlags, terminal: Terminal): Promise<string> =>
  writeTrained('convert', flags, terminal, (options) =>
    convertAdapter(adapter, { ...options, baseModel: flags.model }),
  );
