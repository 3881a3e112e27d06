/** How a command reads its tables. */
import type { Command } from 'commander';
import { names } from './names.js';

export interface TableFlags {
  readonly columns?: readonly string[];
  readonly header?: boolean;
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
});

export function addTableFlags(command: Command): Command {
  for (const { flags, help } of Object.values(TABLE_FLAGS)) command.option(flags, help);
  return command;
}

/** A header that nobody asked about is left to be found. */
export const tableOptions = ({ columns, header }: TableFlags): TableFlags => ({
  columns: columns && names(columns),
  header,
});
