import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readBytes } from '../read-bytes.js';
import type { ReadTableOptions } from '../read-options.js';
import { readTable } from '../read-table.js';

const scratch = mkdtempSync(join(tmpdir(), 'peft-delimited-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const table = (name: string, content: string | Uint8Array, options?: ReadTableOptions) => {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return readTable(path, options);
};
const read = async (name: string, content: string | Uint8Array, options?: ReadTableOptions) => {
  const made = await table(name, content, options);
  return Object.fromEntries(made.columns.map((column) => [column, made.values(column)]));
};
const failure = (...given: Parameters<typeof table>): Promise<string> =>
  table(...given).then(
    () => 'no error',
    (error: { code?: string; message: string }) =>
      `${error.code}: ${error.message.replaceAll(scratch, '…')}`,
  );

const PLAIN = { text: ['good soup', 'bad walk', 'warm bread'], label: ['pos', 'neg', 'pos'] };

describe('line ends', () => {
  it.each([
    ['\\n first, \\r\\n later', 'text,label\ngood soup,pos\r\nbad walk,neg\r\nwarm bread,pos\n'],
    ['\\r\\n first, \\n later', 'text,label\r\ngood soup,pos\nbad walk,neg\nwarm bread,pos'],
    ['\\r alone', 'text,label\rgood soup,pos\rbad walk,neg\rwarm bread,pos\r'],
    ['all three', 'text,label\rgood soup,pos\nbad walk,neg\r\nwarm bread,pos'],
  ])('may be mixed: %s', async (_, content) =>
    expect(await read('ends.csv', content)).toEqual(PLAIN),
  );

  it('stay as they are inside quotes', async () =>
    expect(await read('q.csv', 'text,label\r\n"one\ntwo",pos\r\n"a\r\nb",neg\n')).toEqual({
      text: ['one\ntwo', 'a\r\nb'],
      label: ['pos', 'neg'],
    }));

  it('are found when they fall between two pieces of the file', async () => {
    // pieces have 65,536 bytes; the \r is the last of the first piece
    const head = 'text,label\r\n';
    const filling = 'x'.repeat(65_536 - head.length - ',pos\r'.length);
    const columns = await read('cut.csv', `${head}${filling},pos\r\nbad walk,neg\r\n`);
    expect(columns.label).toEqual(['pos', 'neg']);
  });

  it('of JSON Lines and texts may be mixed as well', async () => {
    expect(await read('m.jsonl', '{"a":1}\r{"a":2}\r\n{"a":3}\n')).toEqual({ a: [1, 2, 3] });
    expect(await read('m.txt', 'one\rtwo\r\nthree')).toEqual({ text: ['one', 'two', 'three'] });
  });
});

describe('byte order marks', () => {
  it('are left out at the start of the file and of its lines', async () =>
    expect(
      await read(
        'bom.csv',
        '\ufefftext,label\ngood soup,pos\n\ufeffbad walk,neg\n\ufeff"warm bread",pos\n',
      ),
    ).toEqual(PLAIN));

  it('tell UTF-16, as Excel writes "Unicode text"', async () => {
    const content = '\ufefftext\tlabel\r\ngood soup\tpos\r\nbad walk\tneg\r\nwarm bread\tpos\r\n';
    expect(await read('utf16.tsv', Buffer.from(content, 'utf16le'))).toEqual(PLAIN);
    expect(await read('utf16be.tsv', Buffer.from(content, 'utf16le').swap16())).toEqual(PLAIN);
  });
});

describe('delimiters', () => {
  it.each([
    ['semicolons', ';'],
    ['tabs', '\t'],
    ['bars', '|'],
  ])('are found: %s', async (_, delimiter) => {
    const content = `label;text\npos;soup, warm and good\nneg;what a walk, indeed\n`;
    expect(await read('d.csv', content.replaceAll(';', delimiter))).toEqual({
      label: ['pos', 'neg'],
      text: ['soup, warm and good', 'what a walk, indeed'],
    });
  });

  it('are commas in a .tsv file without tabs', async () =>
    expect(
      await read('d.tsv', 'text,label\ngood soup,pos\nbad walk,neg\nwarm bread,pos\n'),
    ).toEqual(PLAIN));

  it('stay commas where semicolons stand in texts', async () =>
    expect(await read('d.csv', 'text,label\na; b,pos\nc; d,neg\n', { header: true })).toEqual({
      text: ['a; b', 'c; d'],
      label: ['pos', 'neg'],
    }));

  it('are taken as given', async () =>
    expect(await read('d.csv', 'a~b\nx~y\n', { delimiter: '~', header: true })).toEqual({
      a: ['x'],
      b: ['y'],
    }));

  it('are named by a first line, as Excel has it', async () => {
    const content = 'sep=;\r\ntext;label\r\ngood, soup;pos\r\nbad, walk;neg\r\n';
    expect(await read('s.csv', content)).toEqual({
      text: ['good, soup', 'bad, walk'],
      label: ['pos', 'neg'],
    });
  });

  it('may be followed by a blank each, which belongs to no cell', async () => {
    expect(await read('b.csv', 'text, label\n"good, soup", "pos"\nbad walk, neg\n')).toEqual({
      text: ['good, soup', 'bad walk'],
      label: ['pos', 'neg'],
    });
    const long = `text, label\n${`${'good '.repeat(400)}, pos\n`.repeat(60)}`;
    expect((await table('b.csv', long)).column('label')[0]).toBe('pos');
    const some = 'text,label\ngood, pos\nbad,neg\n';
    expect(await read('b.csv', some)).toEqual({ text: ['good', 'bad'], label: [' pos', 'neg'] });
  });

  it('other than commas leave commas to decimals', async () => {
    expect(await read('n.csv', 'score;text\n1,5;good\n-0,25;bad\n1.234,5;fine\n')).toEqual({
      score: [1.5, -0.25, 1234.5],
      text: ['good', 'bad', 'fine'],
    });
    expect(await read('n.csv', '1,5;2,25\n3,5;4,75\n', { header: false })).toEqual({
      0: [1.5, 3.5],
      1: [2.25, 4.75],
    });
    expect(await read('n.tsv', 'n\tt\n1,234\ta\n5,678\tb\n')).toEqual({
      n: ['1,234', '5,678'], // thousands or decimals: a text
      t: ['a', 'b'],
    });
    expect(await read('n.csv', 'n,t\n"1,5",a\n"2,5",b\n')).toEqual({
      n: ['1,5', '2,5'],
      t: ['a', 'b'],
    });
  });
});

describe('headers', () => {
  const rows = '0,pos,good soup\n1,neg,bad walk\n';

  it('are found by the names that are asked for', async () => {
    expect(await read('i.csv', `,label,text\n${rows}`, { wanted: ['label'] })).toEqual({
      0: [0, 1],
      label: ['pos', 'neg'],
      text: ['good soup', 'bad walk'],
    });
    const long = 'How would you describe your visit in one or two sentences?';
    expect(
      Object.keys(await read('s.csv', `Time,"${long}",Again?\n${rows}`, { wanted: ['Again?'] })),
    ).toEqual(['Time', long, 'Again?']);
    expect(
      await read('t.csv', 'label,text,\npos,good soup\nneg,bad walk,\n', { wanted: ['label'] }),
    ).toEqual({ label: ['pos', 'neg'], text: ['good soup', 'bad walk'], 2: [null, null] });
    expect(
      await read('t.csv', 'label,text\npos,good soup,\nneg,bad walk,\n', { wanted: ['label'] }),
    ).toEqual({ label: ['pos', 'neg'], text: ['good soup', 'bad walk'] });
  });

  it('with a doubled name rename the later one and say so, unless it is asked for', async () => {
    const content = 'note,note,label\na,b,pos\nc,d,neg\n';
    const made = await table('w.csv', content, { wanted: ['label'] });
    expect(made.columns).toEqual(['note', 'note.1', 'label']);
    expect(made.warnings.map(({ code }) => code)).toEqual(['PEFT_COLUMN_DUPLICATE']);
    expect(await failure('w.csv', content, { wanted: ['note'] })).toContain(
      'PEFT_COLUMN_DUPLICATE: data: …/w.csv has two columns "note".',
    );
  });

  it('that come again, in files that were joined, are no rows', async () => {
    const content =
      'text,label\ngood soup,pos\ntext,label\nbad walk,neg\n\ntext,label\nwarm bread,pos\n';
    const { source, warnings, ...joined } = await table('joined.csv', content, {
      wanted: ['label'],
    });
    expect(joined.column('label')).toEqual(PLAIN.label);
    expect(warnings).toEqual([
      {
        code: 'PEFT_TABLE_HEADER',
        message: `${source}: the header comes again 2 times, in lines 3, 6; these are no rows.`,
      },
    ]);
    const all = await table('joined.csv', content, { header: false });
    expect([all.rows, all.warnings]).toEqual([6, []]);
  });

  it('that are not found are named in the error of a missing column', async () => {
    const made = await table('h.csv', `,label,text\n${rows}`);
    expect(() => made.column('label')).toThrowError(
      'Columns: 0, 1, 2. The first line was read as data; if it names the columns, give header: true (CLI: --header).',
    );
  });
});

describe('lone quote marks', () => {
  const lines = ['pos\t"good soup', 'neg\tbad walk', 'pos\twarm bread', 'neg\tstale "bread'];
  const content = `label\ttext\n${lines.join('\n')}\npos\twarm\nneg\tcold\n`.replace(
    'stale "',
    '"stale ',
  );

  it('that draw rows into a cell are named with their lines', async () => {
    const made = await table('quotes.tsv', content);
    expect(made.rows).toBeLessThan(6);
    expect(made.warnings).toEqual([
      {
        code: 'PEFT_TABLE_QUOTES',
        message: expect.stringContaining(
          'quotes.tsv: a double quote at the start of a cell has drawn whole lines into one cell, in lines 2–5.',
        ) as string,
        hint: expect.stringContaining('--no-quotes') as string,
      },
    ]);
  });

  it('are plain text with quotes: false', async () => {
    const made = await table('quotes.tsv', content, { quotes: false });
    expect(made.rows).toBe(6);
    expect(made.column('text')[0]).toBe('"good soup');
    expect(made.warnings).toEqual([]);
  });

  it('that are never closed are an error with the line', async () =>
    expect(await failure('open.tsv', 'label\ttext\npos\tgood\nneg\t"bad\npos\tx\n'))
      .toMatchInlineSnapshot(`
        "PEFT_TABLE_UNREADABLE: data: …/open.tsv: a double quote at the start of a cell (line 3) is never closed.
          hint: Close it, or read with quotes: false (CLI: --no-quotes) if quotes are plain text."
      `));

  it('around texts of several lines are no reason to warn', async () => {
    const made = await table(
      'ok.csv',
      'text,label\n"one\ntwo, three\nfour",pos\n"five\nsix",neg\n',
    );
    expect(made.column('label')).toEqual(['pos', 'neg']);
    expect(made.warnings).toEqual([]);
  });
});

describe('spreadsheets', () => {
  it('are named as such', async () => {
    expect(await failure('sheet.xlsx', 'PK')).toContain('is a spreadsheet, which is not read.');
    expect(await failure('renamed.csv', Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0))).toContain(
      'this is an Excel, OpenDocument or zip file, not text.',
    );
  });
});

describe('files of another kind', () => {
  it.each([
    ['<!DOCTYPE html>\n<html><body>Sign in</body></html>', 'this is a web page'],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:abc\n', 'a pointer of Git LFS'],
    ['PAR1\x15\x04', 'this is a Parquet file'],
    ['\x28\xb5\x2f\xfd\x04', 'this is packed by zstd.'],
    ['%PDF-1.7\n', 'this is a PDF document.'],
  ])('are named: %j', async (content, said) => {
    const bytes = Buffer.from(content, 'latin1');
    for (const name of ['f.csv', 'f.jsonl', 'f.json', 'f.conll'])
      expect(await failure(name, bytes)).toContain(said);
  });

  it('are named where another file is expected, too, and a page is a text', async () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:abc\n';
    expect(await failure('f.parquet', pointer)).toContain('a pointer of Git LFS');
    expect(await failure('f.txt', pointer)).toContain('a pointer of Git LFS');
    expect(await read('page.txt', '<html>\n<p>Soup</p>\n')).toEqual({
      text: ['<html>', '<p>Soup</p>'],
    });
  });

  it('are none when they are packed by gzip, whatever their names', async () => {
    const content = 'text,label\ngood soup,pos\nbad walk,neg\nwarm bread,pos\n';
    expect(await read('p.csv.gz', gzipSync(content))).toEqual(PLAIN);
    expect(await read('p.csv', gzipSync(content))).toEqual(PLAIN);
    expect(await failure('p.csv.gz', gzipSync(content).subarray(0, 30))).toContain(
      "gzip's data in it is damaged or cut off",
    );
  });

  it('are refused when they unpack to more than a file of their size may', async () => {
    const path = join(scratch, 'bomb.csv.gz');
    writeFileSync(path, gzipSync(Buffer.alloc(2_000_000, 97)));
    const pieces = readBytes(path, () => 1_000_000);
    await expect(
      (async () => {
        for await (const piece of pieces) expect(piece.length).toBeLessThan(1_000_000);
      })(),
    ).rejects.toThrowError(/bomb\.csv\.gz: it unpacks to more than 1000000 bytes/);
  });
});
