/** How a command reads its tables. */
import type { Command } from 'commander';
import { names } from './names.js';

export interface TableFlags {
  readonly columns?: readonly string[];
  readonly header?: boolean;
  readonly delimiter?: string;
  readonly quotes?: boolean;
}

/** The flags that `fit`, `evaluate` and `predict` share, with what their help says. */
export const TABLE_FLAGS = Object.freeze({
  columns: {
    flags: '--columns <names...>',
    help: 'names of the columns of a file without a header: --columns label,text',
  },
  header: {
    flags: '--header',
    help: 'the first line names the columns (default: found from the cells)',
  },
  noHeader: {
    flags: '--no-header',
    help: 'the first line is data',
  },
  delimiter: {
    flags: '--delimiter <character>',
    help: 'what separates the cells of CSV and TSV files, \\t for tabs (default: found from the first rows)',
  },
  noQuotes: {
    flags: '--no-quotes',
    help: 'double quotes are plain text in CSV and TSV files',
  },
});

export function addTableFlags(command: Command): Command {
  for (const { flags, help } of Object.values(TABLE_FLAGS)) command.option(flags, help);
  return command;
}

/** A header that nobody asked about is left to be found. */
export const tableOptions = ({ columns, header, delimiter, quotes }: TableFlags): TableFlags => ({
  columns: columns && names(columns),
  header,
  delimiter: delimiter && unescapedDelimiter(delimiter),
  quotes,
});

/** A tab as a shell's user writes it. */
export const unescapedDelimiter = (text: string): string =>
  text === '\\t' || text === 'tab' ? '\t' : text;
