/** `peft evaluate`: scores a saved model on labelled tables. */
import type { Command } from 'commander';
import { ENGINE_NAMES, PeftPredictor, type EngineName } from '@peft/predictor';
import { check } from '@peft/errors';
import { table } from '../terminal/format.js';
import { loadPlugins, methodModules } from '../method-set.js';
import { names, readingFlags } from '../options/names.js';
import { addWritingFlags, writingOptions, type WritingFlags } from '../options/writing-flags.js';
import type { Terminal } from '../terminal/terminal.js';

interface EvaluateFlags extends WritingFlags {
  readonly metrics?: string[];
  readonly columns?: string[];
  readonly header?: boolean;
  readonly engine: string;
  readonly plugin: readonly string[];
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
      'accuracy, roc_auc, log_loss, f1, f1_macro, mcc, rmse, mae, r2, spearmanr …, entity_f1, perplexity, exact_match, rouge1, rouge2, rougeL, bleu, mean_reciprocal_rank; default: the one of the fit',
    )
    .option('--columns <names...>', 'names of the columns of files without a header')
    .option('--header', 'the first line names the columns (default: found from the cells)')
    .option('--no-header', 'the first line is data');
  addWritingFlags(command)
    .option('--engine <name>', `auto, ${ENGINE_NAMES.join(', ')}`, 'auto')
    .option('--plugin <module...>', 'modules that export further methods', [])
    .option('--json', 'print one JSON object')
    .action(async (folder: string, tables: string[], flags: EvaluateFlags, command: Command) =>
      terminal.out(await evaluate(folder, tables, flags, command, terminal)),
    );
}

async function evaluate(
  folder: string,
  paths: readonly string[],
  flags: EvaluateFlags,
  command: Command,
  terminal: Terminal,
): Promise<string> {
  check.oneOf('evaluate', '--engine', flags.engine, ['auto', ...ENGINE_NAMES] as (
    'auto' | EngineName
  )[]);
  const predictor = await PeftPredictor.load(folder, {
    engine: flags.engine as 'auto',
    signal: terminal.signal,
    modules: methodModules(await loadPlugins(flags.plugin)),
  });
  try {
    const metrics = names(flags.metrics);
    const writing = writingOptions('evaluate', flags);
    const results = [];
    for (const path of paths)
      results.push({
        table: path,
        scores: await predictor.evaluate(path, {
          ...readingFlags(flags, command),
          signal: terminal.signal,
          writing,
          ...(metrics && { metrics }),
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
