import { describe, expect, it } from 'vitest';
import { tableFromColumns, tableFromRows } from './table.js';

const table = tableFromRows([
  { text: 'a', label: 1 },
  { text: 'b', label: 0, extra: [1] },
  { text: 'c', label: 1 },
]);

describe('a table', () => {
  it('holds rows by column', () => {
    expect(table.columns).toEqual(['text', 'label', 'extra']);
    expect(table.rows).toBe(3);
    expect(table.column('label')).toEqual([1, 0, 1]);
    expect(table.row(1)).toEqual({ text: 'b', label: 0, extra: [1] });
    expect(table.has('text')).toBe(true);
  });

  it('gives rows by number, the first ones, or a sample', () => {
    expect(table.select([2, 0, 2]).column('text')).toEqual(['c', 'a', 'c']);
    expect(table.head(2).column('text')).toEqual(['a', 'b']);
    expect(table.head().rows).toBe(3);
    const sample = table.sample(2, 123);
    expect(sample.rows).toBe(2);
    expect(new Set(sample.column('text')).size).toBe(2);
    expect(table.sample(2, 123).column('text')).toEqual(sample.column('text'));
    expect(table.pick(['label']).columns).toEqual(['label']);
  });

  it('makes BigInts numbers, dates texts, NaN and undefined missing', () => {
    const made = tableFromRows([{ a: 3n, b: new Date(0), c: Number.NaN, d: undefined }]);
    expect(made.row(0)).toEqual({ a: 3, b: '1970-01-01T00:00:00.000Z', c: null, d: null });
  });

  it('names the nearest column when one is missing', () => {
    expect(() => table.column('lable')).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: data: rows has no column "lable".
        hint: Did you mean "label"? Columns: text, label, extra.]
    `);
  });

  it.each([
    ['no rows', () => tableFromRows([]), 'PEFT_TABLE_EMPTY'],
    ['a row that is no object', () => tableFromRows([1 as never]), 'PEFT_TABLE_INVALID'],
    [
      'unequal columns',
      () =>
        tableFromColumns(
          new Map([
            ['a', [1]],
            ['b', [1, 2]],
          ]),
        ),
      'PEFT_TABLE_INVALID',
    ],
    ['lists as cells', () => table.column('extra'), 'PEFT_COLUMN_NESTED'],
    ['a row that is not there', () => table.select([3]), 'PEFT_ROW_MISSING'],
    ['a sample larger than the table', () => table.sample(4, 0), 'PEFT_SAMPLE_TOO_LARGE'],
  ])('refuses %s', (_, run, code) => {
    expect(run).toThrowError(expect.objectContaining({ code }));
  });
});
