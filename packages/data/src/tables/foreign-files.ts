/** Files that are no table of the format they are read as, by what they begin with. */
import { readBytes } from './read-bytes.js';
import { unreadable, type TableFormat } from './read-options.js';

interface ForeignFile {
  readonly start: string | RegExp;
  readonly what: string;
  readonly hint: string;
  /** The format that may begin so. */
  readonly except?: TableFormat;
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
    except: 'parquet',
  },
  { start: '\x28\xb5\x2f\xfd', what: 'this is packed by zstd.', hint: UNPACK },
  { start: '\xfd7zXZ\x00', what: 'this is packed by xz.', hint: UNPACK },
  { start: /^BZh[1-9]1AY&SY/, what: 'this is packed by bzip2.', hint: UNPACK },
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
    except: 'text', // pages are texts, too
  },
];

/** Bytes that are looked at. */
const LOOKED_AT = 256;

/** @throws PEFT_TABLE_UNREADABLE for a file of another kind, which is named */
export async function refuseForeign(path: string, format: TableFormat): Promise<void> {
  const text = (await startOf(path)).toString('latin1').replace(/^\xef\xbb\xbf/, '');
  const found = FOREIGN_FILES.find(
    ({ start, except }) =>
      except !== format && (typeof start === 'string' ? text.startsWith(start) : start.test(text)),
  );
  if (found) throw unreadable(path, found.what, { hint: found.hint });
}

async function startOf(path: string): Promise<Buffer> {
  for await (const bytes of readBytes(path)) return Buffer.from(bytes.subarray(0, LOOKED_AT));
  return Buffer.alloc(0);
}
