/** `peft evaluate`: scores a saved model on labelled tables. */
import type { Command } from 'commander';
import { PeftPredictor, uncheckedMetric } from '@peft/predictor';
import { table } from '../terminal/format.js';
import { FIT_OPTIONS } from '../options/fit-option-table.js';
import { loadRewards } from '../options/modules/load-rewards.js';
import { loadPlugins, pluginModules } from '../options/plugins.js';
import { addEngineFlags, engineOptions, type EngineFlags } from '../options/engine-flags.js';
import { names } from '../options/names.js';
import { addTableFlags, tableOptions, type TableFlags } from '../options/table-flags.js';
import { loadingShown } from '../terminal/loading-shown.js';
import {
  addGenerationFlags,
  generationOptions,
  type GenerationFlags,
} from '../options/generation-flags.js';
import type { Terminal } from '../terminal/terminal.js';

interface EvaluateFlags extends GenerationFlags, TableFlags, EngineFlags {
  readonly metrics?: string[];
  readonly reward?: string[];
  readonly json?: boolean;
}

export function addEvaluate(program: Command, terminal: Terminal): void {
  const command = program
    .command('evaluate')
    .summary('score a saved model on labelled tables')
    .description('Scores a model that `peft fit` saved on tables with labels.')
    .argument('<folder>', 'the saved model')
    .argument('<tables...>', 'CSV, TSV, JSON Lines, Parquet or text')
    .option(
      '--metrics <names...>',
      'accuracy, roc_auc, log_loss, f1, f1_macro, mcc, rmse, mae, r2, spearmanr …, ' +
        'f1_micro, f1_samples, average_precision_macro, hamming_loss, subset_accuracy; ' +
        'entity_f1, perplexity, exact_match, rouge1, rouge2, rougeL, bleu, ' +
        'mean_reciprocal_rank, ndcg@10, mrr@10, map; default: the one of the fit',
    );
  command.option(FIT_OPTIONS.reward.flags, FIT_OPTIONS.reward.help);
  addTableFlags(command);
  addGenerationFlags(command);
  addEngineFlags(command)
    .option('--json', 'print one JSON object')
    .action(async (folder: string, tables: string[], flags: EvaluateFlags) =>
      terminal.out(await evaluate(folder, tables, flags, terminal)),
    );
}

async function evaluate(
  folder: string,
  paths: readonly string[],
  flags: EvaluateFlags,
  terminal: Terminal,
): Promise<string> {
  const predictor = await PeftPredictor.load(folder, {
    ...engineOptions('evaluate', flags),
    signal: terminal.signal,
    modules: pluginModules(await loadPlugins(flags.plugin)),
    onEvent: loadingShown(terminal),
  });
  try {
    const metrics = flags.metrics && names(flags.metrics);
    const writing = generationOptions('evaluate', flags);
    const rewards = await loadRewards('evaluate', flags.reward ?? []);
    const results = [];
    for (const path of paths)
      results.push({
        table: path,
        scores: await predictor.evaluate(path, {
          ...tableOptions(flags),
          signal: terminal.signal,
          writing,
          rewards,
          metrics: metrics?.map(uncheckedMetric),
        }),
      });
    if (flags.json) return JSON.stringify({ folder, results });
    return table([
      ['table', ...Object.keys(results[0]!.scores)],
      ...results.map((result) => [
        result.table,
        ...Object.values(result.scores).map((score) => score.toFixed(4)),
      ]),
    ]);
  } finally {
    predictor.dispose();
  }
}
