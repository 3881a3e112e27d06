/** `peft methods`: the names that `--method` takes. */
import type { Command } from 'commander';
import { table } from '../terminal/format.js';
import { listMethods } from '@peft/methods';
import { loadPlugins } from '../options/plugins.js';
import { addPluginFlag } from '../options/engine-flags.js';
import type { Terminal } from '../terminal/terminal.js';

export function addMethods(program: Command, terminal: Terminal): void {
  const command = program
    .command('methods')
    .summary('list the methods that a model can be fine-tuned with')
    .description(
      'Lists the names that --method takes: what each is made of, whose files it is written ' +
        'in, and its paper. Their options are in the READMEs of their packages; a misspelt ' +
        'one is answered with those there are.',
    );
  addPluginFlag(command)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\n' +
        'Examples:\n' +
        '  peft methods\n' +
        '  peft inspect bert-base-uncased --method reft --option rank=4   # what it would ' +
        'train',
    )
    .action(async ({ plugin, json = false }: { plugin: string[]; json?: boolean }) => {
      const methods = listMethods((await loadPlugins(plugin)).methods);
      terminal.out(
        json
          ? JSON.stringify({ methods })
          : table([
              ['method', 'made of', 'files', 'paper'],
              ...methods.map(({ name, parts, files, paper }) => [
                name,
                parts.join(' + '),
                files,
                paper?.title ?? '',
              ]),
            ]),
      );
    });
}
