/** `peft predict`: labels, probabilities, tags, texts or embeddings for new rows. */
import type { Command } from 'commander';
import type { Table } from '@peft/data';
import { PeftError } from '@peft/errors';
import { writeFileAtomic } from '@peft/hub';
import { PeftPredictor, type PredictOptions, type TaskName } from '@peft/predictor';
import { count } from '../terminal/format.js';
import { loadPlugins, methodModules } from '../method-set.js';
import { addEngineFlags, engineOptions, type EngineFlags } from '../options/engine-flags.js';
import { addTableFlags, tableOptions, type TableFlags } from '../options/table-flags.js';
import { loadingShown } from '../terminal/loading-shown.js';
import type { Terminal } from '../terminal/terminal.js';
import {
  addGenerationFlags,
  generationOptions,
  type GenerationFlags,
} from '../options/generation-flags.js';

interface PredictFlags extends GenerationFlags, TableFlags, EngineFlags {
  readonly text?: string[];
  readonly probabilities?: boolean;
  readonly embeddings?: boolean;
  readonly output?: string;
  readonly json?: boolean;
}

export function addPredict(program: Command, terminal: Terminal): void {
  const command = program
    .command('predict')
    .summary('use a saved model on new texts')
    .description(
      'Predicts what the model was trained for (labels, numbers, tags, texts, embeddings) for the rows of a table, or for texts given as they are.',
    )
    .argument('<folder>', 'the saved model')
    .argument(
      '[table]',
      'CSV, TSV, JSON Lines, Parquet or text, with the columns of the fit that are read',
    )
    .option('-t, --text <text...>', 'texts instead of a table')
    .option('-p, --probabilities', 'a probability for each class')
    .option('-e, --embeddings', 'the pooled hidden state instead of a label');
  addTableFlags(command);
  addGenerationFlags(command).option(
    '-o, --output <file>',
    'write JSON Lines here instead of printing',
  );
  addEngineFlags(command)
    .option('--json', 'print JSON Lines')
    .action(async (folder: string, path: string | undefined, flags: PredictFlags) => {
      const text = await predict(folder, path, flags, terminal);
      if (text !== '') terminal.out(text);
    });
}

async function predict(
  folder: string,
  path: string | undefined,
  flags: PredictFlags,
  terminal: Terminal,
): Promise<string> {
  if ((path === undefined) === (flags.text === undefined))
    throw new PeftError('PEFT_OPTION_MISSING', 'predict: give either a table or --text.', {
      hint: 'peft predict FOLDER --text "a sentence"',
    });
  const predictor = await PeftPredictor.load(folder, {
    ...engineOptions('predict', flags),
    signal: terminal.signal,
    modules: methodModules(await loadPlugins(flags.plugin)),
    onEvent: loadingShown(terminal),
  });
  try {
    const data = flags.text ? predictor.rowsOfTexts(flags.text) : path!;
    const rows = await predictedRows(
      predictor,
      data,
      flags.embeddings ?? false,
      flags.probabilities ?? false,
      {
        ...tableOptions(flags),
        signal: terminal.signal,
        writing: generationOptions('predict', flags),
      },
    );
    const lines = rows.map((row) =>
      flags.json || flags.output !== undefined ? JSON.stringify(row) : shown(row),
    );
    if (flags.output === undefined) return lines.join('\n');
    await writeFileAtomic(flags.output, `${lines.join('\n')}\n`);
    return `${count(lines.length)} rows written to ${flags.output}`;
  } finally {
    predictor.dispose();
  }
}

/** A row for people: embeddings are JSON anyway. */
function shown(row: Record<string, unknown>): string {
  if ('probabilities' in row)
    return `${String(row['label'])}\t${Object.entries(
      row['probabilities'] as Record<string, number>,
    )
      .map(([name, value]) => `${name}=${value.toFixed(4)}`)
      .join(' ')}`;
  if ('tags' in row) return (row['tags'] as readonly string[]).join(' ');
  return 'embedding' in row ? JSON.stringify(row) : String(row['label'] ?? row['text']);
}

/** What a prediction is called, where it is no label. */
const PREDICTION_KEYS: Readonly<Partial<Record<TaskName, string>>> = Object.freeze({
  'token-classification': 'tags',
  'causal-lm': 'text',
  seq2seq: 'text',
});

async function predictedRows(
  predictor: PeftPredictor,
  data: Table | string,
  embeddings: boolean,
  probabilities: boolean,
  { writing, ...reading }: PredictOptions,
): Promise<Record<string, unknown>[]> {
  if (embeddings || predictor.task === 'embeddings')
    return (await predictor.extractEmbedding(data, reading)).map((embedding) => ({
      embedding: Array.from(embedding),
    }));
  const rows = probabilities ? await predictor.predictProba(data, reading) : undefined;
  const predictions = await predictor.predict<unknown>(data, { ...reading, writing });
  if (rows)
    return predictions.map((label, row) => ({
      label,
      probabilities: Object.fromEntries(
        (predictor.classLabels ?? []).map((name, c) => [
          String(name),
          (rows[row] as ArrayLike<number>)[c]!,
        ]),
      ),
    }));
  const key = (predictor.task && PREDICTION_KEYS[predictor.task]) ?? 'label';
  return predictions.map((prediction) => ({ [key]: prediction }));
}
