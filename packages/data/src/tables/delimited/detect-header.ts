/** Decides whether the first line of a delimited file names the columns. */

const LONGEST_NAME = 64;
const NUMBER_LIKE = /^[+-]?[\d.,]+(?:[eE][+-]?\d+)?%?$/;

/**
 * A header's cells are all there, all different, short (64 characters, at most 4 words), no
 * numbers, and none comes again as a value of its own column. A single line is data.
 */
export function looksLikeHeader(
  first: readonly string[],
  columns: readonly (readonly string[])[],
): boolean {
  const names = first.map((cell) => cell.trim());
  if ((columns[0]?.length ?? 0) === 0 || new Set(names).size !== names.length) return false;
  return names.every((name, i) => {
    if (
      name === '' ||
      name.length > LONGEST_NAME ||
      name.split(/\s+/).length > 4 ||
      NUMBER_LIKE.test(name)
    )
      return false;
    return !columns[i]!.some((cell) => cell.trim() === name);
  });
}
