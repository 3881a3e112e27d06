/** What a table looks like it is for. */
import { inferColumnTypes, type Table } from '@peft/data';
import { TASK_ROLES } from '@peft/predictor';
import type { TableGuess } from '../api-types.js';

const LABEL_NAMES =
  /^(labels?|class(es)?|categor(y|ies)|topic|target|sentiment|intent|score|rating|stars|y)$/i;

/**
 * A task whose columns are all there by their own names; else the column that looks like a label:
 * by its name, or the one of fewest values beside a column of texts.
 */
export function guessTask(table: Table): TableGuess {
  const named = table.columns.find((column) => LABEL_NAMES.test(column));
  const roled = Object.entries(TASK_ROLES).find(([, sets]) =>
    (sets as readonly (readonly string[])[]).some((roles) =>
      roles.every((role) => role.endsWith('?') || table.has(role)),
    ),
  );
  const isOfTexts = roled?.[0] === 'causal-lm' && !HAS_MORE.some((column) => table.has(column));
  if (roled && !(isOfTexts && named !== undefined)) {
    // a column of texts alone may stand beside a label that goes by another name
    const other = isOfTexts ? fewestValues(table) : undefined;
    return other === undefined ? { task: roled[0] } : { label: other };
  }
  const label = named ?? fewestValues(table);
  return label === undefined ? {} : { label };
}

/** Columns that tell a language model's table from one of texts. */
const HAS_MORE = ['messages', 'conversations', 'prompt', 'instruction'];

/** Of the columns that are no texts; undefined where no column of texts stands beside it. */
function fewestValues(table: Table): string | undefined {
  const plain = table.columns.filter((column) => isPlain(table, column));
  if (plain.length < 2) return undefined;
  const types = inferColumnTypes(table.pick(plain));
  const candidates = plain.filter((column) => types.get(column) === 'categorical');
  const counted = candidates.map((column) => ({
    column,
    values: new Set(table.column(column)).size,
  }));
  return counted.sort((a, b) => a.values - b.values)[0]?.column;
}

/** Whether its cells are neither lists nor objects. */
export const isPlain = (table: Table, column: string): boolean =>
  table.values(column).every((cell) => typeof cell !== 'object' || cell === null);
