/** `peft rank`: documents by how well they answer a query. */
import type { Command } from 'commander';
import { PeftError } from '@peft/errors';
import { PeftPredictor, type RankedDocument } from '@peft/predictor';
import { addEngineFlags, engineOptions, type EngineFlags } from '../options/engine-flags.js';
import { positiveInteger } from '../options/numbers.js';
import { loadPlugins, pluginModules } from '../options/plugins.js';
import { addTableFlags, tableOptions, type TableFlags } from '../options/table-flags.js';
import { loadingShown } from '../terminal/loading-shown.js';
import { oneLine } from '../terminal/prediction-lines.js';
import type { Terminal } from '../terminal/terminal.js';

interface RankFlags extends TableFlags, EngineFlags {
  readonly query: string;
  readonly text?: string[];
  readonly top?: string;
  readonly json?: boolean;
}

export function addRank(program: Command, terminal: Terminal): void {
  const command = program
    .command('rank')
    .summary('order documents by how well they answer a query')
    .description('Orders documents with a model that `peft fit --task ranking` saved.')
    .argument('<folder>', 'the saved model')
    .argument('[table]', 'the documents: a table with the column that the fit read them from')
    .requiredOption('--query <text>', 'what is asked')
    .option('-t, --text <text...>', 'documents instead of a table')
    .option('--top <number>', 'only the first so many');
  addTableFlags(command);
  addEngineFlags(command)
    .option('--json', 'print JSON Lines: index, from 0, score and document')
    .action(async (folder: string, path: string | undefined, flags: RankFlags) =>
      terminal.out(await rank(folder, path, flags, terminal)),
    );
}

async function rank(
  folder: string,
  path: string | undefined,
  flags: RankFlags,
  terminal: Terminal,
): Promise<string> {
  if ((path === undefined) === (flags.text === undefined))
    throw new PeftError('PEFT_OPTION_MISSING', 'rank: give either a table or --text.', {
      hint: 'peft rank FOLDER --query "a question" --text "a document" "another"',
    });
  const topK = flags.top === undefined ? undefined : positiveInteger('rank', '--top', flags.top);
  const predictor = await PeftPredictor.load(folder, {
    ...engineOptions('rank', flags),
    signal: terminal.signal,
    modules: pluginModules(await loadPlugins(flags.plugin)),
    onEvent: loadingShown(terminal),
  });
  try {
    const documents = flags.text ?? (await documentsOf(predictor, path!, flags));
    const ranked = await predictor.rank(flags.query, documents, { topK, signal: terminal.signal });
    return flags.json
      ? ranked.map((each) => JSON.stringify(each)).join('\n')
      : lines(ranked, terminal).join('\n');
  } finally {
    predictor.dispose();
  }
}

/** The second column that new rows need is that of the documents. */
async function documentsOf(
  predictor: PeftPredictor,
  path: string,
  flags: RankFlags,
): Promise<string[]> {
  const table = await predictor.readRows(path, tableOptions(flags));
  const column = predictor.textColumns.at(-1)!;
  return table.column(column).map((cell) => (cell === null ? '' : String(cell)));
}

/** Scores and documents; whole documents where another program reads them. */
function lines(ranked: readonly RankedDocument[], { isForPeople, columns }: Terminal): string[] {
  const scores = ranked.map(({ score }) => score.toFixed(4));
  const width = Math.max(...scores.map(({ length }) => length));
  return ranked.map(({ document }, i) => {
    const score = scores[i]!.padStart(width);
    return isForPeople
      ? `${score}  ${oneLine(document, Math.max(20, columns - width - 2))}`
      : `${score}\t${document}`;
  });
}
