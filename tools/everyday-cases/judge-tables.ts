/** Judges cases of CSV and TSV files. */
import { readTable } from '@peft/data';
import { filesOf, linesOf, must, type Judge } from './everyday-case.js';

const tables = (folder: string): string[] => {
  const files = filesOf(folder, '.csv', '.tsv');
  must(files.length > 0, 'there is no CSV or TSV file');
  return files;
};

export const mixedLineEnds: Judge = async ({ folder }) => {
  for (const path of tables(folder)) {
    const table = await readTable(path, { header: true });
    must(table.rows === linesOf(path).length - 1, `${table.rows} rows in ${path}`);
    for (const column of table.columns)
      must(
        ![column, ...table.values(column)].some((cell) => /[\r\ufeff]/.test(String(cell))),
        `a line end or byte order mark stands in the column ${column} of ${path}`,
      );
  }
  return 'every line is a row without line ends';
};

export const headerNotRecognised: Judge = async ({ folder }) => {
  for (const path of tables(folder)) {
    const names = (await readTable(path, { header: false, limit: 1 })).row(0);
    for (const name of Object.values(names).map(String)) {
      if (name === '' || name === 'null') continue;
      const table = await readTable(path, { wanted: [name] });
      must(table.has(name), `no column ${name} in ${path}`);
    }
  }
  return 'each named column makes the first line a header';
};

export const loneQuotes: Judge = async ({ folder }) => {
  for (const path of tables(folder)) {
    const plain = await readTable(path, { header: true, quotes: false });
    must(
      plain.rows === linesOf(path).length - 1,
      `quotes: false gives ${plain.rows} rows of ${path}`,
    );
    const quoted = await readTable(path, { header: true }).catch((error: Error) => error);
    if (quoted instanceof Error)
      must(/line \d+/.test(quoted.message), `no line in: ${quoted.message}`);
    else if (quoted.rows < plain.rows)
      must(
        quoted.warnings.some(({ message }) => /lines \d+/.test(message)),
        `${quoted.rows} of ${plain.rows} rows of ${path}, without a word`,
      );
  }
  return 'lost rows are named by their lines, quotes: false keeps all';
};

export const foundDelimiter: Judge = async ({ folder }) => {
  for (const path of tables(folder)) {
    const table = await readTable(path, { header: true });
    must(table.columns.length > 1, `one column in ${path}`);
    must(table.rows === linesOf(path).length - 1, `${table.rows} rows in ${path}`);
  }
  return 'the delimiter is found';
};
