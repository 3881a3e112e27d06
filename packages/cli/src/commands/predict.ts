/** `peft predict`: labels, probabilities or embeddings for new texts. */
import type { Command } from 'commander';
import { tableFromRows, type Table } from '@peft/data';
import { check, PeftError } from '@peft/errors';
import { writeFileAtomic } from '@peft/hub';
import { ENGINE_NAMES, PeftPredictor, type EngineName, type ReadOptions } from '@peft/predictor';
import { count } from '../format.js';
import { loadPlugins, methodModules } from '../method-set.js';
import { readingFlags } from '../names.js';
import type { Terminal } from '../terminal.js';

interface PredictFlags { readonly text?: string[]; readonly columns?: string[]; readonly header?: boolean; readonly probabilities?: boolean; readonly embeddings?: boolean; readonly output?: string; readonly engine: string; readonly plugin: readonly string[]; readonly json?: boolean }

export function addPredict(program: Command, terminal: Terminal): void {
  program
    .command('predict')
    .summary('label new texts with a saved model')
    .description('Predicts labels (or probabilities, or embeddings) for the rows of a table, or for texts given as they are.')
    .argument('<folder>', 'the saved model')
    .argument('[table]', 'CSV, TSV, JSON Lines or Parquet with the text columns of the fit')
    .option('-t, --text <text...>', 'texts instead of a table')
    .option('--columns <names...>', 'names of the columns of a file without a header')
    .option('--header', 'the first line names the columns (default: found from the cells)')
    .option('--no-header', 'the first line is data')
    .option('-p, --probabilities', 'a probability for each class')
    .option('-e, --embeddings', 'the pooled hidden state instead of a label')
    .option('-o, --output <file>', 'write JSON Lines here instead of printing')
    .option('--engine <name>', `auto, ${ENGINE_NAMES.join(', ')}`, 'auto')
    .option('--plugin <module...>', 'modules that export further methods', [])
    .option('--json', 'print JSON Lines')
    .action(async (folder: string, path: string | undefined, flags: PredictFlags, command: Command) => {
      const text = await predict(folder, path, flags, command, terminal);
      if (text !== '') terminal.out(text);
    });
}

async function predict(folder: string, path: string | undefined, flags: PredictFlags, command: Command, terminal: Terminal): Promise<string> {
  check.oneOf('predict', '--engine', flags.engine, ['auto', ...ENGINE_NAMES] as ('auto' | EngineName)[]);
  if ((path === undefined) === (flags.text === undefined)) throw new PeftError('PEFT_OPTION_MISSING', 'predict: give either a table or --text.', { hint: 'peft predict FOLDER --text "a sentence"' });
  const predictor = await PeftPredictor.load(folder, { engine: flags.engine as 'auto', signal: terminal.signal, modules: methodModules(await loadPlugins(flags.plugin)) });
  try {
    const data = flags.text ? textRows(flags.text, predictor) : path!;
    const rows = await predictedRows(predictor, data, flags.embeddings ?? false, flags.probabilities ?? false, { ...readingFlags(flags, command), signal: terminal.signal });
    const lines = flags.json || flags.output !== undefined || flags.embeddings ? rows.map((row) => JSON.stringify(row)) : rows.map((row) => ('probabilities' in row ? `${row.label}\t${Object.entries(row.probabilities as Record<string, number>).map(([name, value]) => `${name}=${value.toFixed(4)}`).join(' ')}` : String(row.label)));
    if (flags.output === undefined) return lines.join('\n');
    await writeFileAtomic(flags.output, `${lines.join('\n')}\n`);
    return `${count(lines.length)} rows written to ${flags.output}`;
  } finally {
    predictor.dispose();
  }
}

/** @throws PEFT_OPTION_INVALID for a model of several text columns */
function textRows(texts: readonly string[], predictor: PeftPredictor): Table {
  const { textColumns } = predictor;
  if (textColumns.length !== 1) throw new PeftError('PEFT_OPTION_INVALID', `predict: --text works for models of one text column, this one has ${textColumns.join(', ')}.`, { hint: 'give a table with these columns' });
  return tableFromRows(texts.map((text) => ({ [textColumns[0]!]: text })), '--text');
}

async function predictedRows(predictor: PeftPredictor, data: Table | string, embeddings: boolean, probabilities: boolean, reading: ReadOptions): Promise<Record<string, unknown>[]> {
  if (embeddings) return (await predictor.extractEmbedding(data, reading)).map((embedding) => ({ embedding: Array.from(embedding) }));
  const labels = await predictor.predict(data, reading);
  if (!probabilities) return labels.map((label) => ({ label }));
  const rows = await predictor.predictProba(data, reading);
  return labels.map((label, row) => ({ label, probabilities: Object.fromEntries((predictor.classLabels ?? []).map((name, c) => [String(name), (rows[row] as ArrayLike<number>)[c]!])) }));
}
