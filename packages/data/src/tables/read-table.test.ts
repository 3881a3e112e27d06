import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as zlib from 'node:zlib';
import { gzipSync } from 'node:zlib';
import { parquetWriteFile } from 'hyparquet-writer';
import { afterAll, describe, expect, it } from 'vitest';
import type { ReadTableOptions } from './read-options.js';
import { readParquet } from './read-parquet.js';
import { readTable } from './read-table.js';

const scratch = mkdtempSync(join(tmpdir(), 'peft-table-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const file = (name: string, content: string | Uint8Array) => {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
};
/** Columns of a file read with the options. */
const read = async (name: string, content: string | Uint8Array, options?: ReadTableOptions) => {
  const table = await readTable(file(name, content), options);
  return Object.fromEntries(table.columns.map((column) => [column, table.values(column)]));
};
const failure = async (name: string, content: string | Uint8Array, options?: ReadTableOptions) =>
  readTable(file(name, content), options).then(
    () => 'no error',
    (error: { code?: string; message: string }) =>
      `${error.code}: ${error.message.replaceAll(scratch, '…')}`,
  );

describe('CSV and TSV', () => {
  const rows =
    'sports\tHe had joined three seasons ago, from Sevilla.\nhealth\tScientists announced a "new" tool.\n';

  it('read a headerless file with the given names', async () => {
    expect(await read('a.tsv', rows, { columns: ['label', 'text'] })).toEqual({
      label: ['sports', 'health'],
      text: [
        'He had joined three seasons ago, from Sevilla.',
        'Scientists announced a "new" tool.',
      ],
    });
  });

  it('number the columns of a headerless file without names', async () => {
    expect(Object.keys(await read('a.tsv', '1\tA text of its own.\n0\tAnother.\n'))).toEqual([
      '0',
      '1',
    ]);
    expect(Object.keys(await read('a.tsv', rows, { header: false }))).toEqual(['0', '1']);
  });

  it('find a header by themselves, or are told', async () => {
    expect(await read('a.csv', 'text,label\nGood.,1\nBad.,0\n')).toEqual({
      text: ['Good.', 'Bad.'],
      label: [1, 0],
    });
    expect(await read('a.csv', 'a,b\nc,d\n', { header: false })).toEqual({
      0: ['a', 'c'],
      1: ['b', 'd'],
    });
    expect(await read('a.csv', '1,2\n3,4\n', { header: true })).toEqual({ 1: [3], 2: [4] });
  });

  it('take a first line for data when one of its cells comes again below', async () => {
    expect(await read('a.csv', 'good,Fine work\nbad,Poor\ngood,Nice\n')).toEqual({
      0: ['good', 'bad', 'good'],
      1: ['Fine work', 'Poor', 'Nice'],
    });
  });

  it('skip a header that repeats the given names', async () => {
    expect(await read('a.csv', 'label,text\n1,x\n', { columns: ['label', 'text'] })).toEqual({
      label: [1],
      text: ['x'],
    });
    expect(await read('a.csv', 'y,t\n1,x\n', { header: true, columns: ['label', 'text'] })).toEqual(
      { label: [1], text: ['x'] },
    );
  });

  it('understand quotes, a byte order mark, CRLF, empty lines and a missing last line end', async () => {
    const content = '\ufefftext,label\r\n"one, ""two""\r\nthree",a\r\n\r\nsay "hi",b';
    expect(await read('a.csv', content)).toEqual({
      text: ['one, "two"\r\nthree', 'say "hi"'],
      label: ['a', 'b'],
    });
    expect(await read('b.tsv', 'x\ty\n"open\t1\n', { quotes: false, header: true })).toEqual({
      x: ['"open'],
      y: [1],
    });
  });

  it('type columns of numbers and booleans, and lose nothing', async () => {
    const content =
      'n,b,code,big,mixed,gap\n1,True,007,12345678901234567890,1,\n-2.5e1,false,010,1,x,\nNA,,012,2,NA,\n';
    expect(await read('a.csv', content)).toEqual({
      n: [1, -25, null],
      b: [true, false, null],
      code: ['007', '010', '012'],
      big: ['12345678901234567890', '1', '2'],
      mixed: ['1', 'x', 'NA'],
      gap: [null, null, null],
    });
    expect(await read('a.csv', 'n,m\n1,1\n2,2\n', { texts: ['n'] })).toEqual({
      n: ['1', '2'],
      m: [1, 2],
    });
  });

  it('read only the first rows when asked to, with and without header', async () => {
    expect(await read('a.csv', 'n\n1\n2\n3\n', { limit: 2, header: true })).toEqual({ n: [1, 2] });
    expect(await read('a.csv', '1\n2\n3\n', { limit: 2 })).toEqual({ 0: [1, 2] });
  });

  it('read a file of many pieces as one', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i}\t日本語のテキスト ${i}`);
    const columns = await read('long.tsv', lines.join('\n'), { columns: ['id', 'text'] });
    expect(columns.id).toEqual(lines.map((_, i) => i));
    expect(columns.text!.at(-1)).toBe('日本語のテキスト 19999');
  });

  it('say what is wrong, where, and what to do', async () => {
    expect(await failure('r.csv', 'a,b\n1,2\n1,2,3\n')).toMatchInlineSnapshot(`
      "PEFT_TABLE_ROW_RAGGED: data: line 3 of …/r.csv has 3 cells, the first line has 2.
        hint: Put cells that contain "," or a line break in double quotes, or read with quotes: false (CLI: --no-quotes) if they are plain text. Cells are separated by ","; delimiter (CLI: --delimiter) names another."
    `);
    expect(await failure('r.tsv', 'a\tb\n"1\t2\n1\t2\n')).toMatchInlineSnapshot(`
      "PEFT_TABLE_UNREADABLE: data: …/r.tsv: a double quote at the start of a cell (line 2) is never closed.
        hint: Close it, or read with quotes: false (CLI: --no-quotes) if quotes are plain text."
    `);
    expect(await failure('e.csv', '')).toContain('PEFT_TABLE_EMPTY: data: …/e.csv is empty.');
    expect(await failure('e.csv', 'text,label\n', { header: true })).toContain('PEFT_TABLE_EMPTY');
    expect(await failure('d.csv', 'a,a\n1,2\n', { header: true })).toContain(
      'PEFT_COLUMN_DUPLICATE',
    );
    expect(await failure('n.csv', 'a,b\n1,2\n', { columns: ['x'] })).toContain(
      'PEFT_CONFIG_INVALID: data: 1 column names (x) for …/n.csv, which has 2 columns.',
    );
    expect(
      await failure('c.csv', `a,b\n1,${'x'.repeat(200)}\n`, { maximumCellLength: 100 }),
    ).toContain(
      'PEFT_CELL_TOO_LARGE: data: cell 1 of line 2 of …/c.csv has 200 characters, more than 100.',
    );
    expect(await failure('u.csv', Uint8Array.of(0x61, 0xff, 0x62))).toContain(
      'PEFT_TABLE_UNREADABLE: data: …/u.csv: the file is not UTF-8 text.',
    );
    expect(await failure('o.csv', 'a\n1\n', { colums: ['a'] } as never)).toContain(
      'Did you mean "columns"',
    );
  });

  it('name the nearest file when there is none', async () => {
    file('train.tsv', 'x\ty\n');
    await expect(readTable(join(scratch, 'trian.tsv'))).rejects.toThrowError(
      expect.objectContaining({
        code: 'PEFT_FILE_MISSING',
        message: expect.stringContaining('Did you mean "train.tsv"'),
      }),
    );
    await expect(readTable(join(scratch, 'no/such.tsv'))).rejects.toThrowError(
      /There is no folder/,
    );
    expect(await failure('a.xlsx', 'x')).toContain('PEFT_TABLE_FORMAT_UNKNOWN');
    expect(await read('a.txt', 'a\tb\n1\t2\n', { format: 'tsv' })).toEqual({ a: [1], b: [2] });
  });
});

describe('JSON', () => {
  it('reads objects line by line, a missing key being a missing value', async () => {
    expect(
      await read('a.jsonl', '{"text": "x", "label": true}\r\n\n{"text": "y", "n": 2}'),
    ).toEqual({ text: ['x', 'y'], label: [true, null], n: [null, 2] });
  });

  it('reads an array of objects', async () => {
    expect(await read('a.json', '\ufeff[{"a": 1}, {"a": null}]')).toEqual({ a: [1, null] });
    expect(await read('a.json', '[{"a": 1}, {"a": 2}]', { limit: 1 })).toEqual({ a: [1] });
  });

  it.each([
    ['an array in a file named .jsonl', 'a.jsonl', '[{"a": 1, "b": "x"},\n {"a": 2, "b": "y"}]'],
    ['lines in a file named .json', 'a.json', '{"a": 1, "b": "x"}\r\n{"a": 2, "b": "y"}\r\n'],
    ['rows under a name', 'a.json', '{"data": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}'],
    ['columns', 'a.json', '{"a": [1, 2], "b": ["x", "y"]}'],
    ["pandas' columns", 'a.json', '{"a": {"0": 1, "1": 2}, "b": {"0": "x", "1": "y"}}'],
    ["pandas' rows by index", 'a.json', '{"0": {"a": 1, "b": "x"}, "1": {"a": 2, "b": "y"}}'],
    [
      "pandas' split",
      'a.json',
      '{"columns": ["a", "b"], "index": [0, 1], "data": [[1, "x"], [2, "y"]]}',
    ],
  ])('reads %s', async (_, name, content) => {
    const table = { a: [1, 2], b: ['x', 'y'] };
    expect(await read(name, content)).toEqual(table);
    expect(await read(`${name}.gz`, gzipSync(content))).toEqual(table);
  });

  it('reads a single object as a row, and one that holds rows as a value', async () => {
    expect(await read('one.json', '{"text": "x", "label": 1}\n')).toEqual({
      text: ['x'],
      label: [1],
    });
    const turns = [{ role: 'user', content: 'hi' }];
    expect(await read('one.jsonl', JSON.stringify({ messages: turns }))).toEqual({
      messages: [turns],
    });
  });

  it('names what stands beside the rows, and columns of unequal length', async () => {
    const table = await readTable(file('a.json', '{"data": [{"a": 1}], "version": "1.1"}'));
    expect(table.warnings).toEqual([
      expect.objectContaining({
        message: expect.stringContaining('"version" beside the rows is not read.') as string,
      }),
    ]);
    expect(await failure('a.json', '{"a": [1, 2], "b": [1]}')).toContain(
      'column "b" has 1 cells, column "a" has 2.',
    );
    expect(await failure('a.json', '{"a": {"0": 1, "1": 2}, "b": {"0": 1, "2": 2}}')).toContain(
      'column "b" has other rows than column "a".',
    );
    expect(
      (await readTable(file('a.json', '{"columns": ["a"], "index": ["x"], "data": [[1]]}')))
        .warnings[0]?.message,
    ).toContain('"index" beside the rows is not read.');
    expect(await failure('a.json', '{"columns": ["a", "b"], "data": [[1, 2], [3]]}')).toContain(
      'row 1 of "data" has 1 cells for 2 columns.',
    );
  });

  it('takes NaN outside of texts for a missing number', async () => {
    expect(
      await read('a.jsonl', '{"NaN": NaN, "t": "NaN \\" NaN", "n": [1, NaN]}\n{"NaN": 2}\n'),
    ).toEqual({ NaN: [null, 2], t: ['NaN " NaN', null], n: [[1, null], null] });
    expect(await failure('a.jsonl', '{"a": NaNa}\n')).toContain('line 1 is not JSON');
    expect(await failure('a.jsonl', '{"a": "NaN}\n')).toContain('line 1 is not JSON');
  });

  it('refuses bytes that are no text', async () =>
    expect(await failure('a.json', Buffer.from('[{"a": "caf\xe9"}]', 'latin1'))).toContain(
      'the file is not UTF-8 text.',
    ));

  it('does not let a key of the file reach the prototype of objects', async () => {
    const table = await readTable(file('p.jsonl', '{"__proto__": {"polluted": 1}, "a": 1}'));
    expect(table.columns).toContain('a');
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect((table.row(0) as { polluted?: number }).polluted).toBeUndefined();
  });

  it('names the line that is wrong', async () => {
    expect(await failure('a.jsonl', '{"a": 1}\n{"a": \n')).toContain(
      'PEFT_TABLE_UNREADABLE: data: …/a.jsonl: line 2 is not JSON',
    );
    expect(await failure('a.jsonl', '{"a": 1}\n[1]\n')).toContain('line 2 is not an object');
    expect(await failure('a.jsonl', '[{"a": 1}]\n[{"a": 2}]\n')).toContain(
      'line 1 is not an object, got [{"a":1}].',
    );
    expect(await failure('a.jsonl', '[1]\n')).toContain('row 0 is not an object');
    expect(await failure('a.json', '{"a": {"b": [1]}}')).toContain('must be an array of objects');
    expect(await failure('a.json', '3')).toContain('must be an array of objects');
    expect(await failure('a.jsonl', '\n')).toContain('PEFT_TABLE_EMPTY');
    expect(
      await failure('a.jsonl', `{"a": "${'x'.repeat(50)}"}`, { maximumCellLength: 10 }),
    ).toContain('PEFT_CELL_TOO_LARGE: data: column "a" of line 1');
  });
});

describe('Parquet', () => {
  it('reads texts, numbers, booleans and missing values, plain and compressed', async () => {
    for (const codec of ['SNAPPY', 'GZIP', 'UNCOMPRESSED'] as const) {
      const filename = join(scratch, `${codec}.parquet`);
      parquetWriteFile({
        filename,
        codec,
        compressors: { GZIP: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)) },
        columnData: [
          { name: 'text', data: ['音質', 'b', null], type: 'STRING' },
          { name: 'label', data: [1n, 0n, 9007199254740993n], type: 'INT64' },
          { name: 'flag', data: [true, false, true], type: 'BOOLEAN' },
          { name: 'score', data: [0.5, 1.5, -2], type: 'DOUBLE' },
        ],
      });
      const table = await readTable(filename);
      expect(table.column('text')).toEqual(['音質', 'b', null]);
      expect(table.column('label')).toEqual([1, 0, '9007199254740993']);
      expect(table.column('flag')).toEqual([true, false, true]);
      expect(table.column('score')).toEqual([0.5, 1.5, -2]);
      expect((await readTable(filename, { limit: 2 })).rows).toBe(2);
    }
  });

  it('refuses a file that is none', async () => {
    expect(await failure('a.parquet', 'PAR1 something PAR1')).toContain(
      'PEFT_TABLE_UNREADABLE: data: …/a.parquet: not a readable Parquet file',
    );
    expect(await failure('b.parquet', '')).toContain('PEFT_TABLE_UNREADABLE');
  });
});

describe('Parquet that is hostile', () => {
  const corpus = (name: string) =>
    fileURLToPath(
      new URL(`../../../../tools/fuzz/corpus/harmful/parquet/${name}`, import.meta.url),
    );

  it.each(['hang.parquet', 'unhandled-rejection.parquet'])(
    'is refused by name within seconds: %s',
    async (name) => {
      const start = performance.now();
      await expect(readTable(corpus(name))).rejects.toMatchObject({
        code: 'PEFT_TABLE_UNREADABLE',
      });
      expect(performance.now() - start).toBeLessThan(20_000);
    },
  );

  it('is refused when it unpacks to more than a file of its size may', async () => {
    const filename = join(scratch, 'bomb.parquet');
    parquetWriteFile({
      filename,
      codec: 'GZIP',
      compressors: { GZIP: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)) },
      columnData: [{ name: 'text', data: ['a'.repeat(30_000_000)], type: 'STRING' }],
    });
    const limits = { mostBytes: 20e6, milliseconds: 60_000 };
    await expect(readParquet(filename, {}, limits)).rejects.toThrow(
      /unpacks to over 20000000 bytes/,
    );
  });
});

describe('a long line', () => {
  it('is read in time that grows with it, and given up at 64 times the longest cell', async () => {
    const long = `{"text":"${'a'.repeat(5_000_000)}"}`;
    const start = performance.now();
    const table = await readTable(file('long.jsonl', `${long}\n${long}`), {
      maximumCellLength: 5_000_000,
    });
    expect(table.rows).toBe(2);
    expect(performance.now() - start).toBeLessThan(5000);
    expect(await failure('long.txt', 'a'.repeat(100_000), { maximumCellLength: 1000 })).toContain(
      'PEFT_CELL_TOO_LARGE: data: line 1 of …/long.txt is longer than 64000 characters.',
    );
  });
});

describe('plain text', () => {
  it('has paragraphs between blank lines, or else lines', async () => {
    expect(await read('a.txt', 'One text\nof two lines.\n\n\nAnother.\r\n')).toEqual({
      text: ['One text\nof two lines.', 'Another.'],
    });
    expect(await read('a.txt', 'One.\nTwo.\nThree.')).toEqual({ text: ['One.', 'Two.', 'Three.'] });
    expect(await read('a.txt', 'One.\nTwo.\nThree.', { limit: 2 })).toEqual({
      text: ['One.', 'Two.'],
    });
    expect(await failure('a.txt', '\n \n')).toMatch(/^PEFT_TABLE_EMPTY/);
    expect(await read('a.txt', '__label__pos A  film.\n\n__label__neg Another.\n')).toEqual({
      label: ['pos', 'neg'],
      text: ['A  film.', 'Another.'],
    });
    expect(await read('a.txt', '__label__a __label__b One.\n__label__a Two.')).toEqual({
      label: [['a', 'b'], ['a']],
      text: ['One.', 'Two.'],
    });
    expect(await read('a.txt', '__label__a One.\nTwo.')).toEqual({
      text: ['__label__a One.', 'Two.'],
    });
  });

  it('of CoNLL has a word and its tag per line', async () => {
    const file =
      '-DOCSTART- -X- O O\n\nAda NNP B-NP B-PER\nwrites VBZ B-VP O\n\n# sent_id = 2\nLondon\tB-LOC\n';
    expect(await read('a.conll', file)).toEqual({
      tokens: [['Ada', 'writes'], ['London']],
      tags: [['B-PER', 'O'], ['B-LOC']],
    });
    expect(await failure('a.conll', 'Ada B-PER\nwrites\n')).toContain(
      'line 2 must have a word and its tag, got "writes"',
    );
  });
});

it.skipIf('zstdDecompressSync' in zlib)('says what pages packed with zstd need', async () => {
  const path = join(scratch, 'zstd.parquet');
  parquetWriteFile({
    filename: path,
    columnData: [{ name: 'text', data: ['one', 'two'], type: 'STRING' }],
    codec: 'ZSTD',
    compressors: { ZSTD: (bytes) => bytes },
  });
  await expect(readTable(path)).rejects.toMatchObject({
    code: 'PEFT_TABLE_UNREADABLE',
    message: expect.stringContaining(
      `zstd, which needs Node 22.15 or newer; this is Node ${process.versions.node}`,
    ) as string,
  });
});
