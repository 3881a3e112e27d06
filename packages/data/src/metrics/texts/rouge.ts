/**
 * ROUGE (Lin 2004) as the `rouge_score` library computes it, without stemming: words are runs of
 * a–z and 0–9 in lower case, and with m shared of p predicted and r of the reference
 *
 *   F = 2·P·R/(P + R), P = m/p, R = m/r
 *
 * ROUGE-n counts runs of n words, each as often as in both texts; ROUGE-L the longest common
 * subsequence of words. The score is the mean over the predictions of the best F over the
 * references.
 */
import type { TextMetric } from './text-metric.js';
import { countRuns, textPairs } from './text-pairs.js';

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];

const fMeasure = (shared: number, predicted: number, wanted: number): number =>
  shared === 0 ? 0 : (2 * shared) / (predicted + wanted);

const rouge = (
  name: string,
  aliases: readonly string[],
  score: (prediction: readonly string[], reference: readonly string[]) => number,
): TextMetric =>
  Object.freeze<TextMetric>({
    name,
    aliases,
    greaterIsBetter: true,
    optimum: 1,
    compute(predictions, references) {
      const scores = textPairs(name, predictions, references).map(
        ({ prediction, references: own }) =>
          Math.max(...own.map((reference) => score(wordsOf(prediction), wordsOf(reference)))),
      );
      return scores.reduce((sum, each) => sum + each, 0) / scores.length;
    },
  });

const byRuns =
  (n: number) =>
  (prediction: readonly string[], reference: readonly string[]): number => {
    const [made, wanted] = [countRuns(prediction, n), countRuns(reference, n)];
    let shared = 0;
    for (const [run, count] of wanted) shared += Math.min(count, made.get(run) ?? 0);
    return fMeasure(
      shared,
      Math.max(0, prediction.length - n + 1),
      Math.max(0, reference.length - n + 1),
    );
  };

/** Length of the longest common subsequence, row by row of the usual table. */
function longestCommon(a: readonly string[], b: readonly string[]): number {
  let above = new Uint32Array(b.length + 1);
  for (const word of a) {
    const row = new Uint32Array(b.length + 1);
    for (let j = 0; j < b.length; j += 1)
      row[j + 1] = b[j] === word ? above[j]! + 1 : Math.max(above[j + 1]!, row[j]!);
    above = row;
  }
  return above[b.length]!;
}

/** `rouge1`, `rouge2`, `rougeL`. */
export const rougeMetrics: readonly TextMetric[] = [
  rouge('rouge1', ['rouge_1'], byRuns(1)),
  rouge('rouge2', ['rouge_2'], byRuns(2)),
  rouge('rougeL', ['rouge_l'], (prediction, reference) =>
    fMeasure(longestCommon(prediction, reference), prediction.length, reference.length),
  ),
];
