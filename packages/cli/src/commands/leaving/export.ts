/** `peft export` and its short form `peft merge`: what was trained, in the format of others. */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { PeftError } from '@peft/errors';
import { allFormats, exportModel } from '@peft/export';
import { addPluginFlag, ENGINES } from '../../options/engine-flags.js';
import { addRevisionFlag, revised, type RevisionFlag } from '../../options/model-flags.js';
import { byteCount } from '../../terminal/byte-count.js';
import type { Terminal } from '../../terminal/terminal.js';
import { writeTrained, type WritingFlags } from './write-trained.js';

/** What `export` and `merge` share. */
interface ExportFlags extends Omit<WritingFlags, 'output'>, RevisionFlag {
  readonly model?: string;
  readonly adapter?: string;
  readonly output?: string;
  readonly maxShardSize?: string;
  readonly processFile?: string;
  readonly probe: boolean;
}

export function addExport(program: Command, terminal: Terminal): void {
  const command = program
    .command('export')
    .summary('write what was trained in the format of another tool')
    .description('Writes what was trained in the format of another tool: whole, or not at all.')
    .argument('[folder]', 'what fit saved, or a checkpoint')
    .requiredOption('--to <format>', allFormats.map(({ name }) => name).join(', '));
  addExportFlags(command.option(...RANK_FLAG).option(...PROCESS_FLAG))
    .addHelpText(
      'after',
      `\nFormats:\n${allFormats.map(formatLine).join('\n')}\n\n` +
        'Examples:\n' +
        '  peft export out --to safetensors --type bf16 -o merged\n' +
        '  peft export --model ./llama --adapter ./adapter --to safetensors -o merged',
    )
    .action(async (folder: string | undefined, flags: ExportFlags) =>
      terminal.out(await exportCommand('export', folder, flags, terminal)),
    );
}

/** The short form of `export --to safetensors`. */
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
    .action(async (folder: string | undefined, flags: Omit<ExportFlags, 'to'>) =>
      terminal.out(await exportCommand('merge', folder, { ...flags, to: 'safetensors' }, terminal)),
    );
}

/** Of formats that write the nearest adapter of some rank. */
export const RANK_FLAG = ['--rank <number>', 'rank of the LoRA that --to lora makes'] as const;

/** Says that it runs, also where whoever started it is gone. */
const PROCESS_FLAG = [
  '--process-file <path>',
  'its process id goes there when it begins, for whoever watches it',
] as const;

export const formatLine = ({ name, summary, types }: (typeof allFormats)[number]): string =>
  `  ${name.padEnd(12)} ${summary}${types.length ? ` (${types.join(', ')})` : ''}`;

const addExportFlags = (command: Command): Command =>
  addPluginFlag(
    addRevisionFlag(command)
      .option('--model <base>', 'a checkpoint, instead of what fit saved')
      .option('-a, --adapter <folder>', 'an adapter for the checkpoint')
      .option('-o, --output <path>', 'where it goes: a folder, or a file where the format has one')
      .option('--type <name>', "how weights are stored; default: the base's own type")
      .option(
        '--max-shard-size <bytes>',
        'a new file begins here, for instance 2GB (default 5GB; of onnx 1.9GB)',
      )
      .option('--no-probe', 'do not compare the results of what was written')
      .option('--engine <name>', `${ENGINES.join(', ')}, or one of a plug-in`, 'auto'),
  ).option('--json', 'print one JSON object');

/** Runs either command. @throws PEFT_OPTION_MISSING, PEFT_OPTION_INVALID and what exporting throws */
async function exportCommand(
  command: string,
  folder: string | undefined,
  flags: ExportFlags,
  terminal: Terminal,
): Promise<string> {
  const { output, processFile } = flags;
  if (processFile !== undefined) writeFileSync(processFile, String(process.pid));
  const reference = folder ?? flags.model;
  if (reference === undefined || (folder !== undefined && flags.model !== undefined))
    throw new PeftError(
      'PEFT_OPTION_MISSING',
      `${command}: give either a folder that fit saved, or --model with --adapter.`,
      { hint: `peft ${command} --help shows examples` },
    );
  if (output === undefined)
    throw new PeftError('PEFT_OPTION_MISSING', `${command}: --output is needed: where it goes.`, {
      hint: `peft ${command} --help shows examples`,
    });
  return writeTrained(command, { ...flags, output }, terminal, (options) =>
    exportModel(revised(reference, flags), {
      ...options,
      adapter: flags.adapter,
      maxShardBytes:
        flags.maxShardSize === undefined
          ? undefined
          : byteCount(command, '--max-shard-size', flags.maxShardSize),
      probe: flags.probe,
    }),
  );
}
