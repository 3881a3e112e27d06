/** Answers that are good or bad by themselves: KTO's rows. */
import { PeftError, show } from '@peft/errors';
import {
  readContent,
  requireLearnt,
  requireOneKind,
  type Content,
  type PreferenceRow,
} from './preference-rows.js';

/** A prompt with an answer, and whether that is desirable. */
export interface UnpairedRow {
  readonly prompt: Content;
  readonly completion: Content;
  readonly isDesirable: boolean;
  readonly tools?: readonly unknown[] | undefined;
}

/**
 * The cells of a row; a label is true or false, 1 or 0, as value or as text.
 * @param place names the row in errors.
 * @throws PEFT_DATA_INVALID for a missing cell; PEFT_PREFERENCE_LABELS for another label;
 *   PEFT_PREFERENCE_PROMPT where texts and messages are mixed
 */
export function readUnpaired(
  cells: {
    readonly prompt: unknown;
    readonly completion: unknown;
    readonly label: unknown;
    readonly tools?: readonly unknown[] | undefined;
  },
  place: string,
): UnpairedRow {
  const prompt = readContent(cells.prompt, `the prompt of ${place}`);
  const completion = readContent(cells.completion, `the completion of ${place}`);
  requireOneKind([prompt, completion], place);
  requireLearnt(completion, place);
  return { prompt, completion, isDesirable: readLabel(cells.label, place), tools: cells.tools };
}

function readLabel(label: unknown, place: string): boolean {
  const text = String(label as string).toLowerCase();
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new PeftError(
    'PEFT_PREFERENCE_LABELS',
    `preference: the label of ${place} must be true or false, got ${show(label)}.`,
    { hint: 'true (or 1) where the completion is desirable, false (or 0) where it is not' },
  );
}

/** Each pair as two rows, the chosen answer desirable and the rejected one not. */
export const unpaired = (rows: readonly PreferenceRow[]): UnpairedRow[] =>
  rows.flatMap(({ prompt, chosen, rejected, tools }) => [
    { prompt, completion: chosen, isDesirable: true, tools },
    { prompt, completion: rejected, isDesirable: false, tools },
  ]);
