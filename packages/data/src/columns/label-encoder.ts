/** Maps labels of any kind to class ids and back, in scikit-learn's order. */
import { PeftError, show } from '@peft/errors';
import type { Cell } from '../tables/table.js';

/** A class as the table writes it. */
export type Label = string | number | boolean;

/** The classes of a label column and their ids, 0 … C − 1 in the order of `classes`. */
export interface LabelEncoder {
  /** Labels by class id. Numbers and booleans ascend by value, texts by code point. JSON-safe. */
  readonly classes: readonly Label[];
  /** Class ids `[rows]`. @throws PEFT_LABEL_UNKNOWN for a label that was not there when fitting. */
  encode(labels: readonly Cell[]): Int32Array;
  /** The label of a class id. @throws PEFT_LABEL_UNKNOWN if there is no such class. */
  decode(id: number): Label;
}

/**
 * Finds the classes of a label column.
 * @throws PEFT_LABEL_MISSING_VALUES for null, PEFT_LABEL_ONE_CLASS for fewer than two,
 *   PEFT_LABEL_MIXED for texts beside numbers.
 */
export function fitLabelEncoder(labels: readonly Cell[]): LabelEncoder {
  const distinct = [...new Set(labels)];
  if (distinct.includes(null))
    throw new PeftError(
      'PEFT_LABEL_MISSING_VALUES',
      `data: row ${labels.indexOf(null)} has no label.`,
      { hint: 'Remove rows without a label.' },
    );
  const classes = distinct as Label[];
  if (classes.length < 2) {
    throw new PeftError(
      'PEFT_LABEL_ONE_CLASS',
      `data: all ${labels.length} rows have the label ${show(classes[0])}.`,
      { hint: 'Give rows of at least two classes.' },
    );
  }
  const kinds = new Set(classes.map((label) => typeof label));
  if (kinds.size > 1) {
    throw new PeftError(
      'PEFT_LABEL_MIXED',
      `data: labels mix ${[...kinds].join(' and ')}s, for instance ${classes.slice(0, 4).map(show).join(', ')}.`,
      { hint: 'Write all of them the same way.' },
    );
  }
  return restoreLabelEncoder(
    classes.sort(typeof classes[0] === 'string' ? byCodePoint : (a, b) => Number(a) - Number(b)),
  );
}

/** The encoder of classes that were saved. @param classes as saved from `LabelEncoder.classes`. */
export function restoreLabelEncoder(classes: readonly Label[]): LabelEncoder {
  const ids = new Map(classes.map((label, id) => [label, id]));
  // A table read from text may spell a number or boolean of the fitted table differently, and the
  // other way round.
  const spelled = new Map(classes.map((label, id) => [String(label), id]));
  return Object.freeze({
    classes: Object.freeze([...classes]),
    encode: (labels: readonly Cell[]) =>
      Int32Array.from(labels, (label, row) => {
        const id =
          ids.get(label as Label) ?? (label === null ? undefined : spelled.get(String(label)));
        if (id === undefined) {
          throw new PeftError(
            'PEFT_LABEL_UNKNOWN',
            `data: row ${row} has the label ${show(label)}, which the training data did not have.`,
            {
              hint: `Known labels: ${classes.slice(0, 20).map(show).join(', ')}${classes.length > 20 ? ', …' : ''}.`,
            },
          );
        }
        return id;
      }),
    decode(id: number) {
      const label = classes[id];
      if (label === undefined)
        throw new PeftError(
          'PEFT_LABEL_UNKNOWN',
          `data: there is no class ${id}, only 0 … ${classes.length - 1}.`,
        );
      return label;
    },
  });
}

/** Order of Unicode code points, as Python compares strings; UTF-16 order differs beyond U+FFFF. */
function byCodePoint(a: Label, b: Label): number {
  const [left, right] = [[...String(a)], [...String(b)]];
  for (let i = 0; i < Math.min(left.length, right.length); i += 1) {
    const difference = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
