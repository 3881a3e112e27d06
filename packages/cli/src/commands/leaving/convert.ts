/** `peft convert`: an adapter's files for another tool, or any method as LoRA. */
import type { Command } from 'commander';
import { allFormats, convertAdapter } from '@peft/export';
import type { EngineName } from '@peft/predictor';
import { addPluginFlag, ENGINES, type EngineFlags } from '../../options/engine-flags.js';
import { positiveInteger } from '../../options/numbers.js';
import { loadPlugins, pluginModules } from '../../options/plugins.js';
import { createExportProgress } from '../../terminal/export-progress.js';
import { loadingShown } from '../../terminal/loading-shown.js';
import type { Terminal } from '../../terminal/terminal.js';
import { exportReport, formatLine, RANK_FLAG } from './export.js';

interface ConvertFlags extends Omit<EngineFlags, 'precision'> {
  readonly to: string;
  readonly model?: string;
  readonly output: string;
  readonly type?: string;
  readonly rank?: string;
  readonly json?: boolean;
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

async function convert(adapter: string, flags: ConvertFlags, terminal: Terminal): Promise<string> {
  const progress = createExportProgress(terminal);
  try {
    const result = await convertAdapter(adapter, {
      to: flags.to,
      output: flags.output,
      baseModel: flags.model,
      type: flags.type,
      rank: flags.rank === undefined ? undefined : positiveInteger('convert', '--rank', flags.rank),
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
