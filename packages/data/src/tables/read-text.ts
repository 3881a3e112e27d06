/** Reads a UTF-8 file piece by piece. */
import { createReadStream } from 'node:fs';
import { unreadable } from './read-options.js';

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

/** Lines of the file with their numbers from 1, without line ends; `\n` and `\r\n` end a line. */
export async function* readLines(path: string): AsyncGenerator<{ line: string; number: number }> {
  let rest = '';
  let number = 0;
  for await (const text of readText(path)) {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines)
      yield { line: line.endsWith('\r') ? line.slice(0, -1) : line, number: (number += 1) };
  }
  if (rest !== '') yield { line: rest, number: number + 1 };
}
