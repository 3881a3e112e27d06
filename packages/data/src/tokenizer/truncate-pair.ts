/**
 * Cuts one or two token sequences to a budget, the longer one first (`longest_first` of the
 * `tokenizers` library): with n₁ ≤ n₂ only the second is cut while n₁ + n₂' = budget leaves it the
 * longer one; else both get half, the second the odd token.
 */
export function truncatePair(
  texts: readonly (readonly number[])[],
  budget: number,
): (readonly number[])[] {
  const most = Math.max(0, budget);
  if (texts.length < 2) return texts.map((ids) => ids.slice(0, most));
  const [first, second] = texts as [readonly number[], readonly number[]];
  if (first.length + second.length <= most) return [first, second];
  const swapped = first.length > second.length;
  let shorter = Math.min(first.length, second.length);
  let longer = shorter > most ? shorter : Math.max(shorter, most - shorter);
  if (shorter + longer > most) {
    shorter = Math.floor(most / 2);
    longer = shorter + (most % 2);
  }
  return swapped
    ? [first.slice(0, longer), second.slice(0, shorter)]
    : [first.slice(0, shorter), second.slice(0, longer)];
}
