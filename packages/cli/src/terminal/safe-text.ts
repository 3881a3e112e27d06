/** Strangers' text (labels, columns, file names, what a model generated) on a terminal. */

/**
 * Control characters but tab and line end, and marks that turn the direction of writing: a terminal
 * obeys them, and what is read is not what is there.
 */
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/**
 * The text with every character that a terminal would obey shown as `\u001b`, which is what JSON
 * has for it too. `\r\n` is a line end.
 */
export const safeText = (text: string): string =>
  text
    .replaceAll('\r\n', '\n')
    .replace(OBEYED, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`);
