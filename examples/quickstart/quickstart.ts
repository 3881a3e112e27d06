/**
 * Fine-tunes a small multilingual encoder with IA3 and its biases on English sentences, then tells
 * the topics of English, German and Japanese ones. Nothing is downloaded: model and texts lie
 * beside this file.
 *
 *     npm run quickstart                                  saves into a temporary folder
 *     npm run quickstart -- my-folder --engine portable   saves into my-folder
 *     npm run quickstart -- --rows 64                     for a quick look: so many rows of each file, every topic among them
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createProgress, processTerminal } from '@peft/cli';
import { readTable, type Table } from '@peft/data';
import { PeftError } from '@peft/errors';
import { PeftPredictor } from '@peft/predictor';

const TOPICS = 7;
const LANGUAGES = [
  ['en', 'English'],
  ['de', 'German'],
  ['ja', 'Japanese'],
] as const;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const terminal = processTerminal();
try {
  await quickstart();
} catch (error) {
  if (!(error instanceof PeftError)) throw error;
  terminal.err(`error ${error.code}: ${error.message}`);
  process.exitCode = 1;
}

async function quickstart(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      engine: { type: 'string', default: process.env['PEFT_ENGINE'] ?? 'auto' },
      rows: { type: 'string', default: '1000' },
    },
  });
  const rows = rowCount(values.rows);
  const path = positionals[0] ?? mkdtempSync(join(tmpdir(), 'quickstart-'));
  const progress = createProgress(terminal);
  const predictor = new PeftPredictor({ label: 'topic', path });
  predictor.listen(progress.listen);
  try {
    await predictor.fit(await table('en_train', rows), {
      tuningData: await table('en_dev', rows),
      signal: terminal.signal,
      hyperparameters: {
        'model.hf_text.checkpoint_name': here('model'),
        'optim.peft': 'ia3_bias',
        'model.hf_text.max_text_len': 64,
        'optim.lr': 5e-3, // chosen by the dev files, as the others
        'optim.max_epochs': 3,
        'optim.val_check_interval': 1,
        'env.batch_size': 16,
        'env.engine': values.engine as 'auto', // fit refuses a name that it does not know
      },
    });
    progress.stop();
    sayScore(predictor);
    await sayTests(predictor, rows);
  } finally {
    progress.stop();
    predictor.dispose();
  }
  const folder = relative(process.cwd(), path).startsWith('..') ? path : relative('', path);
  console.log(`
Model and adapter are in ${folder}. Ask it about a sentence of your own:
  npx peft predict ${folder} --text "The team won the final." "Die Regierung plant eine Reform." --probabilities`);
}

/** The score of the weights that were saved, which are not those of one check. */
function sayScore(predictor: PeftPredictor): void {
  const { metric, validationScore, averagedSteps } = predictor.fitSummary();
  const weights =
    averagedSteps.length > 1
      ? 'the mean of the weights after steps ' +
        `${[...averagedSteps].sort((a, b) => a - b).join(', ')}: a model soup, so that its ` +
        'score is that of no single check'
      : `those after step ${averagedSteps.join()}`;
  console.log(
    `\n${metric} ${validationScore.toFixed(3)} on the validation rows, of the saved weights (${weights})`,
  );
}

async function sayTests(predictor: PeftPredictor, rows: number): Promise<void> {
  const lines = ['\nlanguage   accuracy   chance   times chance'];
  for (const [code, language] of LANGUAGES) {
    const test = await table(`${code}_test`, rows);
    const { accuracy } = await predictor.evaluate(test, { signal: terminal.signal });
    const chance = mostFrequent(test) / test.rows; // always saying the most frequent topic
    lines.push(
      [
        language.padEnd(10),
        accuracy!.toFixed(3).padStart(8),
        chance.toFixed(3).padStart(8),
        (accuracy! / chance).toFixed(1).padStart(14),
      ].join(' '),
    );
  }
  console.log(lines.join('\n'));
}

function mostFrequent(table: Table): number {
  const topics = table.column('topic');
  return Math.max(
    ...[...new Set(topics)].map((topic) => topics.filter((other) => other === topic).length),
  );
}

function rowCount(text: string): number {
  const rows = Number(text);
  if (Number.isSafeInteger(rows) && rows >= TOPICS) return rows;
  throw new PeftError(
    'PEFT_OPTION_INVALID',
    `quickstart: --rows must be an integer of at least ${TOPICS}, one for each topic, got ${text}.`,
  );
}

/**
 * So many rows of a file, in its order: the first of each topic, the second of each, and so on, so
 * that even few rows know every topic.
 */
async function table(name: string, limit: number): Promise<Table> {
  const whole = await readTable(here(`data/${name}.tsv`), { columns: ['topic', 'text'] }); // no header
  const seen = new Map<unknown, number>();
  const turns = whole.column('topic').map((topic, row) => {
    const turn = seen.get(topic) ?? 0;
    seen.set(topic, turn + 1);
    return { row, turn };
  });
  const chosen = turns.sort((a, b) => a.turn - b.turn || a.row - b.row).slice(0, limit);
  return whole.select(chosen.map(({ row }) => row).sort((a, b) => a - b));
}
