/** Finds out what is to be predicted: one of two classes, one of many, or a number. */
import { check, PeftError, show } from '@peft/errors';
import type { Table } from '../tables/table.js';
import { inferColumnTypes } from './column-types.js';

/** What a label column asks for: one of two classes, one of several, or a number. */
export type ProblemType = 'binary' | 'multiclass' | 'regression';

const GIVEN = ['binary', 'multiclass', 'classification', 'regression'] as const;

/** What `inferProblemType` is told beside the table. */
export interface ProblemTypeOptions {
  readonly validation?: Table;
  /** What the user says it is. */
  readonly given?: (typeof GIVEN)[number];
}

/**
 * By AutoGluon's rules: the label is categorical (fewer than min(⌊0.1·rows⌋, 100) distinct values,
 * or no numbers) and has two values, or more; or it is numerical and so a regression. Two distinct
 * values are always binary, so that a handful of rows is no regression.
 *
 * @throws PEFT_LABEL_MISSING_VALUES, PEFT_LABEL_ONE_CLASS, PEFT_LABEL_NOT_NUMERIC,
 *   PEFT_PROBLEM_TYPE_MISMATCH, PEFT_COLUMN_MISSING
 */
export function inferProblemType(
  table: Table,
  label: string,
  { validation, given }: ProblemTypeOptions = {},
): ProblemType {
  if (given !== undefined) check.oneOf('data', 'problemType', given, GIVEN);
  for (const each of validation ? [table, validation] : [table]) checkNoneMissing(each, label);
  const cells = table.column(label);
  const classes = new Set(cells).size;
  if (classes === 1 && given !== 'regression') {
    throw new PeftError(
      'PEFT_LABEL_ONE_CLASS',
      `data: the label column ${show(label)} of ${table.source} has only one class, ${show(cells[0])}.`,
      {
        hint:
          'Give rows of at least two classes. If the file is sorted by class,' +
          ' sample it instead of taking its first rows.',
      },
    );
  }
  if (given === 'regression') {
    const text = cells.find((cell) => typeof cell === 'string' && !Number.isFinite(Number(cell)));
    if (text !== undefined)
      throw new PeftError(
        'PEFT_LABEL_NOT_NUMERIC',
        `data: regression needs numbers, but the label column ${show(label)} holds ${show(text)}.`,
      );
    return 'regression';
  }
  if ((given === 'binary' && classes !== 2) || (given === 'multiclass' && classes === 2)) {
    throw new PeftError(
      'PEFT_PROBLEM_TYPE_MISMATCH',
      `data: problemType is ${given}, but the label column ${show(label)} has ${classes} distinct values.`,
    );
  }
  if (classes === 2) return 'binary';
  if (given !== undefined) return 'multiclass';
  return inferColumnTypes(table.pick([label]), {
    label,
    validation,
  }).get(label) === 'numerical'
    ? 'regression'
    : 'multiclass';
}

function checkNoneMissing(table: Table, label: string): void {
  const row = table.column(label).indexOf(null);
  if (row < 0) return;
  throw new PeftError(
    'PEFT_LABEL_MISSING_VALUES',
    `data: the label column ${show(label)} of ${table.source} is empty in row ${row}.`,
    { hint: 'Remove rows without a label.' },
  );
}
