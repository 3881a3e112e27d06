/** Finds lines that a lone quote mark has drawn into a cell. */

/** Lines of the file, both included. */
export interface LineRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The lines of a record if one of its cells holds whole lines that would be rows of their own, with
 * as many delimiters as a row has: one such line where the quote was not closed at the end of a cell,
 * and so is still there; else all lines beyond the cell's first, since a text of several lines that
 * is quoted on purpose may hold delimiters, too.
 *
 * @param lastLine of the record.
 */
export function swallowedLines(
  record: readonly string[],
  lastLine: number,
  delimiter: string,
  columns: number,
): LineRange | undefined {
  if (columns < 2) return undefined;
  const later = record.map((cell) => cell.split(/\r\n|\n|\r/).slice(1));
  const isRow = (line: string): boolean => line.split(delimiter).length === columns;
  const isSwallowed = later.some(
    (lines, i) =>
      lines.length > 0 && (record[i]!.startsWith('"') ? lines.some(isRow) : lines.every(isRow)),
  );
  if (!isSwallowed) return undefined;
  return { first: lastLine - later.flat().length, last: lastLine };
}
