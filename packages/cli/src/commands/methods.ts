/** `peft methods`: the names that `--method` takes. */
import type { Command } from 'commander';
import { table } from '../terminal/format.js';
import { describeModel } from '@peft/core';
import { listMethods, type MethodFacts } from '@peft/methods';
import { bert } from '@peft/models';
import { loadPlugins } from '../options/plugins.js';
import { addPluginFlag } from '../options/engine-flags.js';
import type { Terminal } from '../terminal/terminal.js';

const bertBase = () =>
  describeModel(bert, bert.parseConfig({ model_type: 'bert' }), { kind: 'none' });

const mergesWord = (facts: MethodFacts | undefined): string => {
  if (!facts) return '–';
  return facts.merges ? 'yes' : 'no';
};

export function addMethods(program: Command, terminal: Terminal): void {
  const command = program
    .command('methods')
    .summary('list the methods that a model can be fine-tuned with')
    .description(
      'Lists the names that --method takes: whose files each is written in, whether it can be ' +
        'merged, what it trains on BERT-base by default (a dash: nothing to attach to), and ' +
        'what it computes or is made of; papers are in --json. Their options are in the READMEs of their packages; a misspelt ' +
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
      const methods = listMethods((await loadPlugins(plugin)).methods, bertBase());
      terminal.out(
        json
          ? JSON.stringify({ methods })
          : table([
              ['method', 'files', 'merges', 'BERT-base', 'formula or parts'],
              ...methods.map(({ name, parts, files, formula, facts }) => [
                name,
                files,
                mergesWord(facts),
                facts ? facts.trainable.toLocaleString('en') : '–',
                formula ?? parts.join(' + '),
              ]),
            ]),
      );
    });
}
