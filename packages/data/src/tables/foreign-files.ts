/** Files that are no text, or no table, by what they begin with. */
import { unreadable } from './read-options.js';
import type { PeftError } from '@peft/errors';

interface ForeignFile {
  readonly start: string | RegExp;
  readonly what: string;
  readonly hint: string;
}

const UNPACK = 'Unpack it and give the file inside.';
const AS_CSV = 'Save the sheet as CSV (UTF-8) and give that file.';

/** Texts are compared with the first bytes as Latin-1. */
const FOREIGN_FILES: readonly ForeignFile[] = [
  {
    start: 'PK\x03\x04',
    what: 'this is an Excel, OpenDocument or zip file, not text.',
    hint: AS_CSV,
  },
  {
    start: '\xd0\xcf\x11\xe0',
    what: 'this is a spreadsheet or document of an old Office, not text.',
    hint: AS_CSV,
  },
  {
    start: 'PAR1',
    what: 'this is a Parquet file, not text.',
    hint: 'Rename it to .parquet.',
  },
  { start: '\x28\xb5\x2f\xfd', what: 'this is packed by zstd.', hint: UNPACK },
  { start: '\xfd7zXZ\x00', what: 'this is packed by xz.', hint: UNPACK },
  { start: 'BZh', what: 'this is packed by bzip2.', hint: UNPACK },
  { start: 'ARROW1', what: 'this is an Arrow file, not text.', hint: 'Save it as Parquet.' },
  {
    start: 'SQLite format 3\0',
    what: 'this is an SQLite database.',
    hint: 'Export the table as CSV.',
  },
  { start: '%PDF-', what: 'this is a PDF document.', hint: 'Give its text as a .txt file.' },
  {
    start: 'version https://git-lfs.github.com/spec/',
    what: 'this is a pointer of Git LFS, not the file itself.',
    hint: 'Fetch the file (git lfs pull), or download it from the page of the repository.',
  },
  {
    start: /^\s*<(?:!doctype\s+html|html)[\s>]/i,
    what: 'this is a web page, not a table.',
    hint: 'The download went to a page (of a login, or of an error); download the file itself.',
  },
];

/** Bytes that are looked at. */
const LOOKED_AT = 256;

/** What a file is that begins with these bytes, if it is certainly no text or no table. */
export function foreignFile(path: string, bytes: Uint8Array): PeftError | undefined {
  const text = Buffer.from(bytes.subarray(0, LOOKED_AT))
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '');
  const found = FOREIGN_FILES.find(({ start }) =>
    typeof start === 'string' ? text.startsWith(start) : start.test(text),
  );
  return found && unreadable(path, found.what, { hint: found.hint });
}
