/** Rows that are left out, counted by reason. */
import type { TableWarning } from '@peft/data';

/** Collects rows by why they are left out. */
export interface LeftOutRows {
  add(reason: LeftOutReason, row: number): void;
  readonly rows: readonly number[];
  /** A warning for each reason that there were rows for. */
  warnings(total: number): readonly TableWarning[];
}

/** Why nothing can be learnt from a row. */
export type LeftOutReason = keyof typeof REASONS;

const REASONS = Object.freeze({
  equal: {
    code: 'PEFT_PREFERENCE_EQUAL',
    what: 'prefer an answer to itself: chosen equals rejected',
    hint: 'remove them, or look whether one column was copied into the other',
  },
  empty: {
    code: 'PEFT_PREFERENCE_EMPTY',
    what: 'have an answer without a text',
    hint: 'fill or remove them',
  },
});
const SHOWN_ROWS = 5;

/** @param nameOf what a row is called, its line for instance. */
export function leftOutRows(nameOf: (row: number) => string = String): LeftOutRows {
  const byReason = new Map<LeftOutReason, number[]>();
  return {
    add(reason, row) {
      byReason.set(reason, [...(byReason.get(reason) ?? []), row]);
    },
    get rows() {
      return [...byReason.values()].flat().sort((a, b) => a - b);
    },
    warnings: (total) =>
      [...byReason].map(([reason, rows]) => {
        const named = rows.slice(0, SHOWN_ROWS).map(nameOf).join(', ');
        const { code, what, hint } = REASONS[reason];
        return {
          code,
          message:
            `${rows.length} of ${total} rows ${what} (rows ${named}` +
            `${rows.length > SHOWN_ROWS ? ', …' : ''}); they are left out.`,
          hint,
        };
      }),
  };
}
