/** `peft export` and its short form `peft merge`: what was trained, in the format of others. */
import type { Command } from 'commander';
import { PeftError } from '@peft/errors';
import { allFormats, exportModel, type ExportResult } from '@peft/export';
import { addPluginFlag, ENGINES, type EngineFlags } from '../../options/engine-flags.js';
import type { EngineName } from '@peft/predictor';
import { addRevisionFlag, revised, type RevisionFlag } from '../../options/model-flags.js';
import { loadPlugins, pluginModules } from '../../options/plugins.js';
import { positiveInteger } from '../../options/numbers.js';
import { byteCount } from '../../terminal/byte-count.js';
import { createExportProgress } from '../../terminal/export-progress.js';
import { bytes, duration } from '../../terminal/format.js';
import { loadingShown } from '../../terminal/loading-shown.js';
import type { Terminal } from '../../terminal/terminal.js';

/** What `export` and `merge` share. */
interface ExportFlags extends Omit<EngineFlags, 'precision'>, RevisionFlag {
  readonly model?: string;
  readonly adapter?: string;
  readonly output?: string;
  readonly type?: string;
  readonly maxShardSize?: string;
  readonly rank?: string;
  readonly probe: boolean;
  readonly json?: boolean;
}

export function addExport(program: Command, terminal: Terminal): void {
  const command = program
    .command('export')
    .summary('write what was trained in the format of another tool')
    .description('Writes what was trained in the format of another tool: whole, or not at all.')
    .argument('[folder]', 'what fit saved, or a checkpoint')
    .requiredOption('--to <format>', allFormats.map(({ name }) => name).join(', '));
  addExportFlags(command.option(...RANK_FLAG))
    .addHelpText(
      'after',
      `\nFormats:\n${allFormats.map(formatLine).join('\n')}\n\n` +
        'Examples:\n' +
        '  peft export out --to safetensors --type bf16 -o merged\n' +
        '  peft export --model ./llama --adapter ./adapter --to safetensors -o merged',
    )
    .action(async (folder: string | undefined, { to, ...flags }: ExportFlags & { to: string }) =>
      terminal.out(await exportCommand('export', folder, to, flags, terminal)),
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
    .action(async (folder: string | undefined, flags: ExportFlags) =>
      terminal.out(await exportCommand('merge', folder, 'safetensors', flags, terminal)),
    );
}

/** Of formats that write the nearest adapter of some rank. */
export const RANK_FLAG = ['--rank <number>', 'rank of the LoRA that --to lora makes'] as const;

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
  to: string,
  flags: ExportFlags,
  terminal: Terminal,
): Promise<string> {
  const reference = folder ?? flags.model;
  if (reference === undefined || (folder !== undefined && flags.model !== undefined))
    throw new PeftError(
      'PEFT_OPTION_MISSING',
      `${command}: give either a folder that fit saved, or --model with --adapter.`,
      { hint: `peft ${command} --help shows examples` },
    );
  if (flags.output === undefined)
    throw new PeftError('PEFT_OPTION_MISSING', `${command}: --output is needed: where it goes.`, {
      hint: `peft ${command} --help shows examples`,
    });
  const progress = createExportProgress(terminal);
  try {
    const result = await exportModel(revised(reference, flags), {
      to,
      output: flags.output,
      adapter: flags.adapter,
      type: flags.type,
      maxShardBytes:
        flags.maxShardSize === undefined
          ? undefined
          : byteCount(command, '--max-shard-size', flags.maxShardSize),
      rank: flags.rank === undefined ? undefined : positiveInteger(command, '--rank', flags.rank),
      probe: flags.probe,
      // the predictor refuses a name that it does not know
      engine: flags.engine as 'auto' | EngineName,
      modules: pluginModules(await loadPlugins(flags.plugin)),
      onEvent: loadingShown(terminal),
      onProgress: progress.show,
      signal: terminal.signal,
    });
    progress.stop();
    for (const warning of result.warnings) terminal.err(`warning: ${warning}`);
    return flags.json ? JSON.stringify(result) : exportReport(flags.output, result);
  } finally {
    progress.stop();
  }
}

/** What was written, how near it comes, and what uses it. */
export function exportReport(
  output: string,
  { type, files, seconds, deviation, approximation, next }: ExportResult,
): string {
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  return [
    `${output}: ${bytes(total)}${type === undefined ? '' : ` as ${type}`} in ${duration(seconds)}`,
    ...(approximation
      ? [
          `kept ${(100 * approximation.keptShare).toFixed(2)} % of the energy of the change in ` +
            `${approximation.parts.length} matrices`,
        ]
      : []),
    ...(deviation
      ? [
          `results on a probe differ from the adapter's by at most ` +
            `${deviation.largest.toPrecision(2)} (${(100 * deviation.relative).toPrecision(2)} % of the largest)`,
        ]
      : []),
    ...next.map((line) => `use it with: ${line}`),
  ].join('\n');
}
