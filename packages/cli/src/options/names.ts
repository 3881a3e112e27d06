/** Flags that hold names, and how they say a table is to be read. */
import type { Command } from 'commander';

/** `--columns label,text` or `--columns label text`. */
export const names = (words: readonly string[] | undefined): string[] | undefined =>
  words === undefined || words.length === 0
    ? undefined
    : words
        .flatMap((word) => word.split(','))
        .map((word) => word.trim())
        .filter(Boolean);

/**
 * `--columns` and `--header` of a command. A header that nobody asked about is left to be found.
 */
export function readingFlags(
  flags: { readonly columns?: readonly string[]; readonly header?: boolean },
  command: Command,
): { readonly columns?: readonly string[]; readonly header?: boolean } {
  const columns = names(flags.columns);
  return {
    ...(columns && { columns }),
    ...(command.getOptionValueSource('header') === 'cli' &&
      flags.header !== undefined && { header: flags.header }),
  };
}
