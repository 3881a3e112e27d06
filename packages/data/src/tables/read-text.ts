/** Reads a text file piece by piece: UTF-8, or UTF-16 with a byte order mark, packed by gzip or not. */
import { constants } from 'node:buffer';
import { PeftError } from '@peft/errors';
import { readBytes } from './read-bytes.js';
import { DEFAULT_CELL_LENGTH, unreadable } from './read-options.js';

/**
 * Decoded pieces of the file, without byte order marks at its start and at the start of its lines,
 * where joined files have them.
 * @throws PEFT_TABLE_UNREADABLE if it is neither UTF-8 nor UTF-16 with a byte order mark.
 */
export async function* readText(path: string): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let encoding = 'utf-8';
  let isLineStart = true;
  const decode = (bytes?: Uint8Array): string => {
    try {
      const text = bytes ? decoder!.decode(bytes, { stream: true }) : (decoder?.decode() ?? '');
      const plain = (isLineStart ? text.replace(/^\ufeff+/, '') : text).replace(
        /([\r\n])\ufeff+/g,
        '$1',
      );
      if (plain !== '') isLineStart = /[\r\n]$/.test(plain);
      return plain;
    } catch (cause) {
      throw unreadable(path, `the file is not ${encoding.toUpperCase()} text.`, {
        hint: 'Save it as UTF-8 (Excel: "CSV UTF-8"; in a terminal: iconv -f WINDOWS-1252 -t UTF-8).',
        cause,
      });
    }
  };
  for await (const bytes of readBytes(path)) {
    if (!decoder) {
      encoding = encodingOf(bytes);
      decoder = new TextDecoder(encoding, { fatal: true });
    }
    yield decode(bytes);
  }
  yield decode();
}

function encodingOf([first, second]: Uint8Array): string {
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  return 'utf-8';
}

/** The whole text of a file. @throws PEFT_TABLE_UNREADABLE, also if it is too long for one text. */
export async function wholeText(path: string): Promise<string> {
  const pieces: string[] = [];
  let length = 0;
  for await (const piece of readText(path)) {
    length += piece.length;
    if (length > constants.MAX_STRING_LENGTH)
      throw unreadable(path, `it has more than ${constants.MAX_STRING_LENGTH} characters.`, {
        hint: 'Save it as JSON Lines (.jsonl), which is read line by line.',
      });
    pieces.push(piece);
  }
  return pieces.join('');
}

/** The first `length` UTF-16 units of the file, or all. @throws PEFT_TABLE_UNREADABLE */
export async function headOf(path: string, length: number): Promise<string> {
  let head = '';
  for await (const text of readText(path)) {
    head += text;
    if (head.length >= length) return head.slice(0, length);
  }
  return head;
}

/**
 * Lines of the file with their numbers from 1, without line ends; `\n`, `\r\n` and `\r` end a
 * line, wherever they stand. Time and memory grow with the line, and a line is given up when it
 * passes the limit.
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
  for await (const text of withLineFeeds(readText(path))) {
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      yield { line: pieces.join('') + text.slice(start, end), number: (number += 1) };
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

/** The pieces with `\n` for every line end, also for one that is cut between two pieces. */
async function* withLineFeeds(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let isAfterReturn = false;
  for await (const piece of pieces) {
    const text = isAfterReturn && piece.startsWith('\n') ? piece.slice(1) : piece;
    if (piece !== '') isAfterReturn = piece.endsWith('\r');
    yield text.replace(/\r\n?/g, '\n');
  }
}
