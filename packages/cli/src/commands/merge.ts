/** `peft merge`: the short form of `peft export --to safetensors`. */
import type { Command } from 'commander';
import type { Terminal } from '../terminal/terminal.js';
import { addExportFlags, exportCommand, type ExportFlags } from './export.js';

export function addMerge(program: Command, terminal: Terminal): void {
  const command = program
    .command('merge')
    .summary('fold an adapter into the weights of its base')
    .description('Folds an adapter into the weights of its base: export --to safetensors.')
    .argument('[folder]', 'what fit saved');
  addExportFlags(command)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  peft merge out -o merged\n' +
        '  peft merge --model ./llama --adapter ./adapter --type f16 -o merged',
    )
    .action(async (folder: string | undefined, flags: ExportFlags) =>
      terminal.out(await exportCommand('merge', folder, 'safetensors', flags, terminal)),
    );
}
