/** A command line as one would type it. */

/** @param words of a command, without `peft`. @returns them quoted where a shell asks for it */
export const asTyped = (words: readonly string[]): string =>
  [process.env['npm_command'] === 'exec' ? 'npx peft' : 'peft', ...words.map(quoted)].join(' ');

const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
