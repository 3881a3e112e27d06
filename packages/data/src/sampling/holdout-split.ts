/**
 * Splits rows into training and validation rows as AutoGluon does when no validation table is
 * given.
 */
import { PeftError } from '@peft/errors';
import { permutation } from './permutation.js';
import { seededRandom } from './seeded-random.js';

/** max(0.1, min(0.2, 500/n)) for n < 5000, else max(0.01, min(0.1, 2500/n)). */
export function holdoutFraction(rows: number): number {
  return rows < 5000
    ? Math.max(0.1, Math.min(0.2, 500 / rows))
    : Math.max(0.01, Math.min(0.1, 2500 / rows));
}

/** How `holdoutSplit` divides the rows. */
export interface HoldoutOptions {
  readonly seed: number;
  /** Part of the rows that becomes validation, in (0, 1). Default: `holdoutFraction`. */
  readonly fraction?: number;
  /** Class of each row `[rows]`: every class keeps its share, and at least one row for training. */
  readonly classes?: ArrayLike<number>;
}

/** Rows of a table divided in two; each stands in one of them. */
export interface Holdout {
  /** Row numbers in random order. */
  readonly train: Int32Array;
  readonly validation: Int32Array;
}

/**
 * ⌈rows · fraction⌉ rows become validation. With classes, each gives rows · share rounded down, and
 * the places left go to the largest remainders (ties drawn by the seed), but never a class's last row.
 *
 * @throws PEFT_SPLIT_IMPOSSIBLE if nothing would be left for training or validation.
 */
export function holdoutSplit(
  rows: number,
  { seed, fraction = holdoutFraction(rows), classes }: HoldoutOptions,
): Holdout {
  if (!(fraction > 0 && fraction < 1))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `data: the holdout fraction must be in (0, 1), got ${fraction}.`,
    );
  if (classes && classes.length !== rows)
    throw new PeftError('PEFT_CONFIG_INVALID', `data: ${rows} rows but ${classes.length} classes.`);
  const order = permutation(rows, [seed, 'holdout']);
  const wanted = Math.ceil(rows * fraction - 1e-9);
  const picked = classes
    ? pickStratified(order, classes, wanted, seed)
    : new Set(order.subarray(0, wanted));
  if (picked.size === 0 || picked.size === rows) {
    throw new PeftError(
      'PEFT_SPLIT_IMPOSSIBLE',
      `data: ${rows} rows cannot be split into training and validation rows.`,
      {
        hint: 'Give more rows, or a validation table of your own.',
      },
    );
  }
  return {
    train: order.filter((row) => !picked.has(row)),
    validation: order.filter((row) => picked.has(row)),
  };
}

function pickStratified(
  order: Int32Array,
  classes: ArrayLike<number>,
  wanted: number,
  seed: number,
): Set<number> {
  const groups = new Map<number, number[]>();
  for (const row of order) {
    const group = groups.get(classes[row]!);
    if (group) group.push(row);
    else groups.set(classes[row]!, [row]);
  }
  const random = seededRandom([seed, 'holdout ties']);
  const shares = [...groups.keys()]
    .sort((a, b) => a - b)
    .map((each) => {
      const group = groups.get(each)!;
      const exact = (wanted * group.length) / order.length;
      const whole = Math.min(Math.floor(exact), group.length - 1);
      return { group, count: whole, remainder: exact - Math.floor(exact), tie: random.next() };
    });
  let left = wanted - shares.reduce((sum, { count }) => sum + count, 0);
  while (left > 0) {
    const open = shares
      .filter(({ group, count }) => count < group.length - 1)
      .sort((a, b) => b.remainder - a.remainder || a.tie - b.tie);
    if (open.length === 0) break;
    for (const share of open.slice(0, left)) {
      share.count += 1;
      left -= 1;
    }
  }
  return new Set(shares.flatMap(({ group, count }) => group.slice(0, count)));
}
