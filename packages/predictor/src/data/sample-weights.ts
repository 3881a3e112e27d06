/** How much each training row counts, as a column says. */
import type { Table } from '@peft/data';
import { PeftError, show } from '@peft/errors';

/**
 * The weights of a table's rows; undefined without such a column.
 * @throws PEFT_SAMPLE_WEIGHT for what is no finite number of at least 0, or when all are 0;
 *   PEFT_COLUMN_MISSING
 */
export function weightsOf(table: Table, column: string | undefined): Float32Array | undefined {
  if (column === undefined) return undefined;
  const weights = Float32Array.from(table.column(column), (cell, row) => {
    const value = cell === null || cell === '' ? Number.NaN : Number(cell);
    if (value >= 0 && value < Infinity) return value;
    throw new PeftError(
      'PEFT_SAMPLE_WEIGHT',
      `predictor: row ${table.origin(row)} of ${table.source} must have a weight of at least 0 in ` +
        `the column ${show(column)}, got ${show(cell)}.`,
      { hint: 'write 1 for a row that counts as usual, 0 for one that does not' },
    );
  });
  if (weights.some((weight) => weight > 0)) return weights;
  throw new PeftError(
    'PEFT_SAMPLE_WEIGHT',
    `predictor: all rows of ${table.source} have the weight 0 in the column ${show(column)}.`,
    { hint: 'leave out rows that do not count, and give the others a weight' },
  );
}
