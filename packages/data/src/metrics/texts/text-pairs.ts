/** Checks what a metric of texts is given. */
import { PeftError } from '@peft/errors';
import type { References } from './text-metric.js';

/** A text and those that it should equal. */
export interface TextPair {
  readonly prediction: string;
  readonly references: readonly string[];
}

/**
 * Each prediction with its references.
 * @throws PEFT_METRIC_INPUT_INVALID
 */
export function textPairs(
  name: string,
  predictions: readonly string[],
  references: readonly References[],
): TextPair[] {
  const fail = (what: string) =>
    new PeftError('PEFT_METRIC_INPUT_INVALID', `data: ${name}: ${what}`);
  if (predictions.length === 0) throw fail('there are no predictions.');
  if (predictions.length !== references.length)
    throw fail(`${predictions.length} predictions and ${references.length} references.`);
  return predictions.map((prediction, i) => {
    const own = [references[i]!].flat();
    if (own.length === 0) throw fail(`prediction ${i} has no reference.`);
    return { prediction, references: own };
  });
}

/** How often each run of n words occurs; the words are joined by a character that no word holds. */
export function countRuns(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i += 1) {
    const run = words.slice(i, i + n).join('\0');
    counts.set(run, (counts.get(run) ?? 0) + 1);
  }
  return counts;
}
