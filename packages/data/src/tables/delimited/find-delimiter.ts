/** Finds what separates the cells of a delimited file. */
import { headOf } from '../read-text.js';

const CANDIDATES = [',', ';', '\t', '|'] as const;
/** Of the file's start, in UTF-16 units. */
const LOOKED_AT = 65_536;
const RECORDS = 50;

/** What is known of a file before it is read. */
export interface DelimiterHints {
  /** What the ending of the file's name stands for. */
  readonly usual: string;
  readonly quotes: boolean;
  /** Columns that the file should have, where they are known. */
  readonly columns?: number;
}

/** How the cells of a file are separated. */
export interface Delimiting {
  readonly delimiter: string;
  /** Whether the first line says no more than that (`sep=;`, as Excel reads and writes it). */
  readonly isNamedByFirstLine: boolean;
  /** Whether a blank follows each delimiter, also in front of quotes: it belongs to no cell. */
  readonly hasBlanks: boolean;
}

/**
 * How the cells of a file are separated: as given, else as the file's first line says, else by
 * {@link delimiterOf}.
 */
export async function findDelimiting(
  path: string,
  hints: DelimiterHints,
  given?: string,
): Promise<Delimiting> {
  const head = await headOf(path, LOOKED_AT);
  const [line, named] = /^sep=([^\r\n])(?:\r\n|\r|\n)/i.exec(head) ?? [];
  const delimiter = given ?? named ?? delimiterOf(head, hints);
  return {
    delimiter,
    isNamedByFirstLine: line !== undefined,
    hasBlanks: hasBlanks(head, line?.length ?? 0, delimiter, hints.quotes),
  };
}

/** Whether each delimiter of the first records is followed by a blank and something else. */
function hasBlanks(head: string, start: number, delimiter: string, quotes: boolean): boolean {
  if (delimiter.trim() === '') return false;
  const rows = head.slice(start);
  const plain = quotes ? rows.replace(/"[^"]*"/g, '""') : rows;
  const lines = plain.split(/[\r\n]+/);
  if (head.length >= LOOKED_AT) lines.pop(); // it may be cut
  const followers = lines.slice(0, RECORDS).flatMap((line) => line.split(delimiter).slice(1));
  return followers.length > 0 && followers.every((each) => /^ \S/.test(each));
}

/**
 * The separator that splits the first 50 records into the same number of cells, two at least: the
 * usual one if it does, unless its commas all stand between digits (decimal commas) and semicolons
 * do as well; else the one that gives most cells. Where none does, the usual one.
 */

export function delimiterOf(head: string, { usual, quotes, columns }: DelimiterHints): string {
  const isWhole = head.length < LOOKED_AT;
  const order = [usual, ...CANDIDATES.filter((each) => each !== usual)];
  const found = order.flatMap((delimiter) => {
    const cells = evenCells(head, delimiter, quotes, isWhole);
    return cells === undefined ? [] : [{ delimiter, cells }];
  });
  const wanted = found.find(({ cells }) => cells === columns);
  if (wanted) return wanted.delimiter;
  const best = found.reduce<(typeof found)[number] | undefined>(
    (most, each) => (most === undefined || each.cells > most.cells ? each : most),
    undefined,
  );
  const first = found[0];
  if (first?.delimiter !== usual) return best?.delimiter ?? usual;
  const semicolons = found.some(({ delimiter }) => delimiter === ';');
  return usual === ',' && semicolons && !/(?:\D|^),|,(?:\D|$)/m.test(head) ? ';' : usual;
}

/** Cells of each of the first records, if all have the same number of two or more. */
function evenCells(
  head: string,
  delimiter: string,
  quotes: boolean,
  isWhole: boolean,
): number | undefined {
  const counts: number[] = [];
  let cells = 1;
  let isQuoted = false;
  let isCellStart = true;
  let isEmpty = true;
  const endRecord = (): void => {
    if (!isEmpty) counts.push(cells);
    cells = 1;
    isCellStart = true;
    isEmpty = true;
  };
  for (const character of head) {
    if (isQuoted) {
      if (character === '"') isQuoted = false;
      continue;
    }
    if (character === '\n' || character === '\r') {
      endRecord();
      if (counts.length >= RECORDS) break;
      continue;
    }
    isEmpty = false;
    if (character === delimiter) {
      cells += 1;
      isCellStart = true;
      continue;
    }
    // A doubled quote inside a quoted cell closes it and opens it again.
    if (character === '"' && quotes && isCellStart) isQuoted = true;
    else isCellStart = false;
  }
  if (isWhole) endRecord();
  const [first] = counts;
  if (first === undefined || first < 2) return undefined;
  return counts.every((count) => count === first) ? first : undefined;
}
