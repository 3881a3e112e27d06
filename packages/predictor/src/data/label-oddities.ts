/** Finds in a label column what is seldom meant as it stands. */
import type { Cell, Label, TableWarning } from '@peft/data';
import { show } from '@peft/errors';

/** Labels that a warning names. */
const NAMED = 3;
/** What `pandas.read_csv` takes for a missing value, beside the empty cell. */
const MISSING = new Set([
  ...['#N/A', '#N/A N/A', '#NA', '<NA>', 'N/A', 'NA', 'n/a'],
  ...['NULL', 'null', 'None', 'NaN', 'nan', '-NaN', '-nan'],
]);
/** A number with a currency, a percent sign or separators of thousands. */
const AMOUNT =
  /^[-+]?(?:[$€£¥]\s*[\d.,'\s]*\d|\d[\d.,'\s]*[%$€£¥]|\d{1,3}(?:[,'\s]\d{3})+(?:\.\d+)?)$/u;
/** Characters of an amount at most: the pattern goes through a longer text again and again. */
const LONGEST = 40;
/** Classes from which on amounts are no names of classes. */
const MANY = 10;
/** Share of rows below which −1 beside 0, 1, … is rather "no label", as in SNLI. */
const UNLABELLED = 0.05;

/**
 * Warnings of classes that are words for a missing value, that are amounts, or that a single row
 * has.
 * @param cells the label column `[rows]`
 */
export function labelOddities(cells: readonly Cell[], classes: readonly Label[]): TableWarning[] {
  const counts = new Map<Cell, number>();
  for (const cell of cells) counts.set(cell, (counts.get(cell) ?? 0) + 1);
  return [
    missingWords(classes),
    minusOne(classes, (counts.get(-1) ?? 0) / cells.length),
    amounts(classes),
    singleRows(classes, counts),
  ].filter((warning) => warning !== undefined);
}

const named = (labels: readonly Label[]): string =>
  labels.slice(0, NAMED).map(show).join(', ') + (labels.length > NAMED ? ', …' : '');

function missingWords(classes: readonly Label[]): TableWarning | undefined {
  const words = classes.filter((label) => MISSING.has(String(label)));
  if (words.length === 0) return undefined;
  return {
    code: 'PEFT_LABEL_MISSING_WORD',
    message: `${named(words)} ${words.length > 1 ? 'are classes' : 'is a class'} like any other.`,
    hint: 'if it says that a label is missing, as in pandas, remove these rows',
  };
}

function minusOne(classes: readonly Label[], share: number): TableWarning | undefined {
  const areIds = classes.every((label, i) => label === i - 1);
  if (!areIds || share === 0 || share >= UNLABELLED) return undefined;
  return {
    code: 'PEFT_LABEL_MISSING_WORD',
    message: `-1 is a class like ${named(classes.slice(1))}.`,
    hint: 'if it says that a label is missing, as in data sets of the hub, remove these rows',
  };
}

function amounts(classes: readonly Label[]): TableWarning | undefined {
  const found = classes.filter(
    (label) => typeof label === 'string' && label.length <= LONGEST && AMOUNT.test(label.trim()),
  );
  if (found.length < MANY || found.length * 2 < classes.length) return undefined;
  return {
    code: 'PEFT_LABEL_AMOUNTS',
    message: `labels such as ${named(found)} are no plain numbers, and each is taken for a class.`,
    hint: 'write 1013.5 instead of $1,013.50, and 0.5 instead of 50%, to learn the number',
  };
}

function singleRows(
  classes: readonly Label[],
  counts: ReadonlyMap<Cell, number>,
): TableWarning | undefined {
  const single = classes.filter((label) => counts.get(label) === 1);
  if (single.length === 0) return undefined;
  return {
    code: 'PEFT_LABEL_SINGLE_ROW',
    message:
      `${single.length} of ${classes.length} classes ${single.length > 1 ? 'have' : 'has'} a single ` +
      `row (${named(single)}), which no validation or test can score.`,
    hint: 'give more rows of such classes, remove them, or choose another label column',
  };
}
