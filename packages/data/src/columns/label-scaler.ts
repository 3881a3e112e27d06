/**
 * Standard scaling of numeric labels: z = (y − mean) / deviation, the deviation with denominator n
 * as in scikit-learn's StandardScaler.
 */
import { PeftError, show } from '@peft/errors';
import type { Cell } from '../tables/table.js';

/** Numbers scaled to mean 0 and deviation 1, and back: z = (y − mean) / deviation. */
export interface LabelScaler {
  readonly mean: number;
  /** Standard deviation; 1 where all labels are equal. */
  readonly deviation: number;
  /** Scaled labels `[rows]`. @throws PEFT_LABEL_NOT_NUMERIC */
  encode(labels: readonly Cell[]): Float32Array;
  /** The label of a scaled value. */
  decode(value: number): number;
}

/**
 * The scaler of a label column, which gets mean 0 and deviation 1.
 * @throws PEFT_LABEL_NOT_NUMERIC naming the row.
 */
export function fitLabelScaler(labels: readonly Cell[]): LabelScaler {
  const numbers = numericLabels(labels);
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const variance = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0) / numbers.length;
  return restoreLabelScaler({ mean, deviation: variance > 0 ? Math.sqrt(variance) : 1 });
}

/** The scaler of a mean and a deviation that were saved. */
export function restoreLabelScaler({
  mean,
  deviation,
}: {
  readonly mean: number;
  readonly deviation: number;
}): LabelScaler {
  return Object.freeze({
    mean,
    deviation,
    encode: (labels: readonly Cell[]) =>
      Float32Array.from(numericLabels(labels), (value) => (value - mean) / deviation),
    decode: (value: number) => value * deviation + mean,
  });
}

/**
 * Labels as numbers `[rows]`; texts that spell numbers and booleans count.
 * @throws PEFT_LABEL_NOT_NUMERIC
 */
export function numericLabels(labels: readonly Cell[]): Float64Array {
  return Float64Array.from(labels, (label, row) => {
    const value =
      label === null || (typeof label === 'string' && label.trim() === '')
        ? Number.NaN
        : Number(label);
    if (Number.isFinite(value)) return value;
    throw new PeftError(
      'PEFT_LABEL_NOT_NUMERIC',
      `data: row ${row} has the label ${show(label)}, regression needs numbers.`,
    );
  });
}
