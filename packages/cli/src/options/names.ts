/** Flags that hold names. */

/** `--columns label,text` or `--columns label text`. */
export const names = (words: readonly string[]): string[] =>
  words
    .flatMap((word) => word.split(','))
    .map((word) => word.trim())
    .filter(Boolean);
