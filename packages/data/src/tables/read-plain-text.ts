/** Reads text files without columns: texts, and tagged words in CoNLL's format. */
import {
  checkCellLength,
  DEFAULT_CELL_LENGTH,
  unreadable,
  type ReadTableOptions,
} from './read-options.js';
import { readLines } from './read-text.js';
import { tableFromColumns, type Table } from './table.js';

/** What fastText writes before each label, at the beginning of a line. */
const LABEL_MARK = '__label__';

/**
 * A `.txt` file as a table with the column `text`: its paragraphs, which blank lines separate;
 * without blank lines, its lines. Where every line begins with `__label__`, as in fastText's files,
 * each is a row with the columns `label` (a list, if any line has several labels) and `text`.
 * @throws PEFT_TABLE_UNREADABLE, PEFT_TABLE_EMPTY, PEFT_CELL_TOO_LARGE
 */
export async function readPlainText(
  path: string,
  { limit = Number.POSITIVE_INFINITY, maximumCellLength = DEFAULT_CELL_LENGTH }: ReadTableOptions,
): Promise<Table> {
  const blocks = await blocksOf(path, maximumCellLength);
  if (blocks.length > 0 && blocks.flat().every(({ line }) => line.startsWith(LABEL_MARK)))
    return tableFromLabelledLines(blocks.flat().slice(0, limit), path);
  const texts = (
    blocks.length === 1
      ? blocks[0]!.map(({ line }) => line)
      : blocks.map((lines) => lines.map(({ line }) => line).join('\n'))
  ).slice(0, limit);
  texts.forEach((text, i) =>
    checkCellLength(text, () => `text ${i} of ${path}`, maximumCellLength),
  );
  return tableFromColumns(new Map([['text', texts]]), path);
}

/**
 * A `.conll` file as a table with the columns `tokens` and `tags`: a word per line with its tag in
 * the last column (blanks or tabs between), blank lines between sentences; `-DOCSTART-` lines and
 * lines that begin with `# ` are left out.
 * @throws PEFT_TABLE_UNREADABLE for a line with a single column, PEFT_TABLE_EMPTY
 */
export async function readTaggedWords(
  path: string,
  { limit = Number.POSITIVE_INFINITY, maximumCellLength = DEFAULT_CELL_LENGTH }: ReadTableOptions,
): Promise<Table> {
  const sentences = (await blocksOf(path, maximumCellLength))
    .map((lines) =>
      lines
        .filter(({ line }) => !line.startsWith('# ') && !line.startsWith('-DOCSTART-'))
        .map(({ line, number }) => {
          const cells = line.trim().split(/\s+/);
          if (cells.length < 2)
            throw unreadable(
              path,
              `line ${number} must have a word and its tag, got ${JSON.stringify(line.slice(0, 60))}.`,
              {
                hint: 'Write a word, a blank and its tag per line, and a blank line after each sentence.',
              },
            );
          return { word: cells[0]!, tag: cells.at(-1)! };
        }),
    )
    .filter(({ length }) => length > 0)
    .slice(0, limit);
  return tableFromColumns(
    new Map([
      ['tokens', sentences.map((sentence) => sentence.map(({ word }) => word))],
      ['tags', sentences.map((sentence) => sentence.map(({ tag }) => tag))],
    ]),
    path,
  );
}

function tableFromLabelledLines(lines: readonly Line[], path: string): Table {
  const rows = lines.map(({ line }) => {
    const words = line.trimEnd().split(/\s+/u);
    const end = words.findIndex((word) => !word.startsWith(LABEL_MARK));
    const labels = words.slice(0, end < 0 ? words.length : end);
    return {
      labels: labels.map((label) => label.slice(LABEL_MARK.length)),
      text: line.replace(/^(?:__label__\S*\s*)+/u, '').trimEnd(),
    };
  });
  const several = rows.some(({ labels }) => labels.length > 1);
  return tableFromColumns(
    new Map<string, unknown[]>([
      ['label', rows.map(({ labels }) => (several ? labels : labels[0]))],
      ['text', rows.map(({ text }) => text)],
    ]),
    path,
  );
}

type Line = { readonly line: string; readonly number: number };

/** Runs of lines that are not blank. */
async function blocksOf(path: string, maximumCellLength: number): Promise<Line[][]> {
  const blocks: Line[][] = [[]];
  for await (const line of readLines(path, maximumCellLength)) {
    if (line.line.trim() !== '') blocks.at(-1)!.push(line);
    else if (blocks.at(-1)!.length > 0) blocks.push([]);
  }
  if (blocks.at(-1)!.length === 0) blocks.pop();
  return blocks;
}
