/** Reads a UTF-8 file piece by piece. */
import { createReadStream } from 'node:fs';
import { PeftError } from '@peft/errors';
import { DEFAULT_CELL_LENGTH, unreadable } from './read-options.js';

/**
 * Decoded pieces of the file, without byte order mark.
 * @throws PEFT_TABLE_UNREADABLE if it is not UTF-8.
 */
export async function* readText(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes?: Uint8Array) => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch (cause) {
      throw unreadable(path, 'the file is not UTF-8 text.', { hint: 'Save it as UTF-8.', cause });
    }
  };
  for await (const bytes of createReadStream(path)) yield decode(bytes as Uint8Array);
  yield decode();
}

/**
 * Lines of the file with their numbers from 1, without line ends; `\n` and `\r\n` end a line. Time
 * and memory grow with the line, and a line is given up when it passes the limit.
 *
 * @param maximumCellLength a line may have 64 times as many UTF-16 units.
 * @throws PEFT_TABLE_UNREADABLE as {@link readText}, PEFT_CELL_TOO_LARGE for a longer line.
 */
export async function* readLines(
  path: string,
  maximumCellLength = DEFAULT_CELL_LENGTH,
): AsyncGenerator<{ line: string; number: number }> {
  const limit = 64 * maximumCellLength;
  let pieces: string[] = []; // of the line that is not at its end
  let length = 0;
  let number = 0;
  for await (const text of readText(path)) {
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      const line = pieces.join('') + text.slice(start, end);
      yield { line: line.endsWith('\r') ? line.slice(0, -1) : line, number: (number += 1) };
      pieces = [];
      length = 0;
      start = end + 1;
    }
    pieces.push(text.slice(start));
    length += text.length - start;
    if (length > limit) throw lineTooLong(path, number + 1, limit);
  }
  const rest = pieces.join('');
  if (rest !== '') yield { line: rest, number: number + 1 };
}

const lineTooLong = (path: string, number: number, limit: number): PeftError =>
  new PeftError(
    'PEFT_CELL_TOO_LARGE',
    `data: line ${number} of ${path} is longer than ${limit} characters.`,
    { hint: 'Check its line ends, or raise maximumCellLength.' },
  );
