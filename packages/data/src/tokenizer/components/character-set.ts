/** Character classes written as hexadecimal ranges, such as `21-2f 5b ad`. */

/**
 * Writes ranges of characters for a regular expression.
 * @returns the body of a regular expression class, `\u{21}-\u{2f}\u{5b}\u{ad}`, for use with the
 *   `u` flag.
 */
export function characterClass(ranges: string): string {
  return ranges
    .split(' ')
    .map((range) =>
      range
        .split('-')
        .map((point) => `\\u{${point}}`)
        .join('-'),
    )
    .join('');
}
