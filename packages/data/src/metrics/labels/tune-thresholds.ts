/**
 * Thresholds that decide which labels a row has: of each label the one with the best F1 on labelled
 * rows, halfway between two neighbouring probabilities; of equally good ones that nearest to 0.5.
 * A label that no row has, or all rows have, keeps 0.5.
 */

/** Labels and probabilities of n rows. */
export interface ThresholdInput {
  readonly labelCount: number; // C
  readonly labels: ArrayLike<number>; // [n, C]
  readonly probabilities: ArrayLike<number>; // [n, C]
}

/** What decides where nothing else is known: as likely as not. */
export const DEFAULT_THRESHOLD = 0.5;

/** @returns a threshold per label `[C]`; a row has the label from there on (≥). */
export function tuneThresholds({ labelCount, labels, probabilities }: ThresholdInput): number[] {
  const rows = labels.length / labelCount;
  return Array.from({ length: labelCount }, (_, c) =>
    bestThreshold(
      Array.from({ length: rows }, (_, row) => ({
        isOwn: labels[row * labelCount + c] === 1,
        probability: probabilities[row * labelCount + c]!,
      })),
    ),
  );
}

interface Decision {
  readonly isOwn: boolean;
  readonly probability: number;
}

function bestThreshold(decisions: readonly Decision[]): number {
  const support = decisions.filter(({ isOwn }) => isOwn).length;
  if (support === 0 || support === decisions.length) return DEFAULT_THRESHOLD;
  const sorted = decisions.toSorted((a, b) => b.probability - a.probability);
  let best = { f1: 0, threshold: DEFAULT_THRESHOLD };
  let correct = 0;
  sorted.forEach(({ isOwn, probability }, i) => {
    if (isOwn) correct += 1;
    const next = sorted[i + 1]?.probability ?? 0;
    if (next === probability) return;
    const f1 = (2 * correct) / (i + 1 + support);
    const threshold = nearestToDefault(next, probability);
    const isNearer =
      Math.abs(threshold - DEFAULT_THRESHOLD) < Math.abs(best.threshold - DEFAULT_THRESHOLD);
    if (f1 > best.f1 || (f1 === best.f1 && isNearer)) best = { f1, threshold };
  });
  return best.threshold;
}

/** 0.5 where it separates the two, else the middle between them. */
const nearestToDefault = (below: number, from: number): number =>
  below < DEFAULT_THRESHOLD && DEFAULT_THRESHOLD <= from ? DEFAULT_THRESHOLD : (below + from) / 2;
