/** Which rows each workgroup of an attention kernel has, as whole numbers that kernels read. */
import { ITEM } from './scores.js';

/** Sequences of a packed batch: rows of queries and of keys. */
export interface Sequences {
  readonly queryOffsets: Int32Array;
  readonly keyOffsets: Int32Array;
  /** Where each sequence's keys begin, if not at `keyOffsets`. */
  readonly keyStarts?: Int32Array;
  /** Keys before those of the sequences, which all see. */
  readonly extra: number;
}

export interface Items {
  readonly values: Int32Array;
  readonly count: number;
  /** Where each table begins. */
  readonly tableStarts: readonly number[];
}

/** Items of {@link ITEM} numbers, and tables behind them. */
function joined(items: readonly (readonly number[])[], tables: readonly Int32Array[]): Items {
  const size = items.length * ITEM;
  const values = new Int32Array(size + tables.reduce((sum, { length }) => sum + length, 0));
  items.forEach((item, n) => values.set(item, n * ITEM));
  let at = size;
  const tableStarts = tables.map((table) => {
    values.set(table, at);
    at += table.length;
    return at - table.length;
  });
  return { values, count: items.length, tableStarts };
}

function sequencesOf({ queryOffsets, keyOffsets, keyStarts = keyOffsets, extra }: Sequences) {
  return Array.from({ length: queryOffsets.length - 1 }, (_, b) => {
    const [row, end] = [queryOffsets[b]!, queryOffsets[b + 1]!];
    const keys = keyOffsets[b + 1]! - keyOffsets[b]!;
    return {
      row,
      queries: end - row,
      keyRow: extra + keyStarts[b]!,
      keys,
      /** Position of the first query on the axis of the keys. */
      offset: keys - (end - row),
    };
  });
}

/** [first row, rows, position of the first, row of key 0, keys] of up to `block` queries each. */
export function queryBlocks(
  sequences: Sequences,
  block: number,
  tables: readonly Int32Array[],
): Items {
  const items = sequencesOf(sequences).flatMap(({ row, queries, keyRow, keys, offset }) =>
    Array.from({ length: Math.ceil(queries / block) }, (_, n) => [
      row + n * block,
      Math.min(block, queries - n * block),
      offset + n * block,
      keyRow,
      keys,
    ]),
  );
  return joined(items, tables);
}

/**
 * [first row, rows, number of the first, row of query 0, queries, position of query 0, 1 for extra
 * keys] of up to `block` keys each.
 */
export function keyBlocks(
  sequences: Sequences,
  block: number,
  tables: readonly Int32Array[],
): Items {
  const { extra, queryOffsets } = sequences;
  const blocks = (rows: number, item: (at: number, count: number) => number[]) =>
    Array.from({ length: Math.ceil(rows / block) }, (_, n) =>
      item(n * block, Math.min(block, rows - n * block)),
    );
  return joined(
    [
      ...blocks(extra, (at, count) => [at, count, 0, 0, queryOffsets.at(-1)!, 0, 1]),
      ...sequencesOf(sequences).flatMap(({ row, queries, keyRow, keys, offset }) =>
        blocks(keys, (at, count) => [keyRow + at, count, at, row, queries, offset, 0]),
      ),
    ],
    tables,
  );
}

/** [first row, queries, position of query 0, row of key 0, keys] of each sequence. */
export const wholeSequences = (sequences: Sequences, tables: readonly Int32Array[]): Items =>
  joined(
    sequencesOf(sequences).map(({ row, queries, keyRow, keys, offset }) => [
      row,
      queries,
      offset,
      keyRow,
      keys,
    ]),
    tables,
  );

/** Rows of the longest sequence. */
export const longest = (offsets: Int32Array): number =>
  offsets.reduce((most, end, b) => (b === 0 ? 0 : Math.max(most, end - offsets[b - 1]!)), 0);
