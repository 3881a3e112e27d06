/** `peft predict`: labels, probabilities, tags, texts or embeddings for new rows. */
import type { Command } from 'commander';
import type { Table } from '@peft/data';
import { PeftError } from '@peft/errors';
import { writeFileAtomic } from '@peft/hub';
import { PeftPredictor, type PredictOptions, type TaskName } from '@peft/predictor';
import { positiveInteger } from '../options/numbers.js';
import { count } from '../terminal/format.js';
import { loadPlugins, pluginModules } from '../options/plugins.js';
import { addEngineFlags, engineOptions, type EngineFlags } from '../options/engine-flags.js';
import { addTableFlags, tableOptions, type TableFlags } from '../options/table-flags.js';
import { predictionLines } from '../terminal/prediction-lines.js';
import { loadingShown } from '../terminal/loading-shown.js';
import type { Terminal } from '../terminal/terminal.js';
import {
  addGenerationFlags,
  generationOptions,
  TASK_ID_FLAG,
  taskIdOf,
  type GenerationFlags,
  type TaskIdFlag,
} from '../options/generation-flags.js';

interface PredictFlags extends GenerationFlags, TaskIdFlag, TableFlags, EngineFlags {
  readonly text?: string[];
  readonly probabilities?: boolean;
  readonly embeddings?: boolean;
  readonly dimensions?: string;
  readonly output?: string;
  readonly json?: boolean;
}

export function addPredict(program: Command, terminal: Terminal): void {
  const command = program
    .command('predict')
    .summary('use a saved model on new texts')
    .description(
      'Predicts what the model was trained for (labels, numbers, tags, texts, embeddings) ' +
        'for the rows of a table, or for texts given as they are.',
    )
    .argument('<folder>', 'the saved model')
    .argument(
      '[table]',
      'CSV, TSV, JSON Lines, Parquet or text, with the columns of the fit that are read',
    )
    .option('-t, --text <text...>', 'texts instead of a table')
    .option(...TASK_ID_FLAG)
    .option('-p, --probabilities', 'a probability for each class')
    .option('-e, --embeddings', 'the pooled hidden state instead of a label')
    .option('--dimensions <number>', 'the first so many numbers of each embedding');
  addTableFlags(command);
  addGenerationFlags(command).option(
    '-o, --output <file>',
    'write JSON Lines here: each row with what it was predicted for, input',
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
  if (flags.taskId !== undefined && flags.text === undefined)
    throw new PeftError('PEFT_OPTION_INVALID', 'predict: --task-id is for --text.', {
      hint: "a table's rows say their task in a column",
    });
  const predictor = await PeftPredictor.load(folder, {
    ...engineOptions('predict', flags),
    signal: terminal.signal,
    modules: pluginModules(await loadPlugins(flags.plugin)),
    onEvent: loadingShown(terminal),
  });
  try {
    const table = flags.text
      ? predictor.rowsOfTexts(flags.text, taskIdOf('predict', flags))
      : await predictor.readRows(path!, tableOptions(flags));
    const rows = await predictedRows(
      predictor,
      table,
      flags.embeddings ?? false,
      flags.probabilities ?? false,
      {
        signal: terminal.signal,
        writing: generationOptions('predict', flags),
        dimensions:
          flags.dimensions === undefined
            ? undefined
            : positiveInteger('predict', '--dimensions', flags.dimensions),
      },
    );
    const inputs = inputsOf(predictor, table);
    if (flags.output !== undefined) {
      const lines = rows.map((row, n) => JSON.stringify({ input: inputs[n], ...row }));
      await writeFileAtomic(flags.output, `${lines.join('\n')}\n`);
      terminal.err(`${count(lines.length)} rows written to ${flags.output}`);
      return '';
    }
    if (flags.json) return rows.map((row) => JSON.stringify(row)).join('\n');
    const shownInputs = terminal.isForPeople ? inputs : undefined;
    return predictionLines(rows, shownInputs, terminal.columns).join('\n');
  } finally {
    predictor.dispose();
  }
}

/** What each row is predicted for: its one column, or all that are read. */
function inputsOf(predictor: PeftPredictor, table: Table): readonly string[] {
  const columns = predictor.textColumns.filter((column) => table.has(column));
  const texts = columns.map((column) => table.column(column).map(inputText));
  return Array.from({ length: table.rows }, (_, row) =>
    texts.map((column) => column[row]!).join(' | '),
  );
}

const inputText = (cell: unknown): string =>
  typeof cell === 'string' ? cell : (JSON.stringify(cell) ?? '');

/** What a prediction is called, where it is no label. */
const PREDICTION_KEYS: Readonly<Partial<Record<TaskName, string>>> = Object.freeze({
  'multi-label-classification': 'labels',
  'token-classification': 'tags',
  'causal-lm': 'text',
  seq2seq: 'text',
  ranking: 'score',
  preference: 'text',
  grpo: 'text',
  reward: 'score',
});

async function predictedRows(
  predictor: PeftPredictor,
  data: Table,
  embeddings: boolean,
  probabilities: boolean,
  { writing, dimensions, ...reading }: PredictOptions,
): Promise<Record<string, unknown>[]> {
  if (embeddings || predictor.task === 'embeddings' || dimensions !== undefined) {
    const made =
      dimensions === undefined
        ? await predictor.extractEmbedding(data, reading)
        : await predictor.predict<Float32Array>(data, { ...reading, dimensions });
    return made.map((embedding) => ({ embedding: Array.from(embedding) }));
  }
  const rows = probabilities ? await predictor.predictProba(data, reading) : undefined;
  const predictions = await predictor.predict<unknown>(data, { ...reading, writing });
  const key = (predictor.task && PREDICTION_KEYS[predictor.task]) ?? 'label';
  if (rows)
    return predictions.map((prediction, row) => ({
      [key]: prediction,
      probabilities: Object.fromEntries(
        (predictor.classLabels ?? []).map((name, c) => [
          String(name),
          (rows[row] as ArrayLike<number>)[c]!,
        ]),
      ),
    }));
  return predictions.map((prediction) => ({ [key]: prediction }));
}
