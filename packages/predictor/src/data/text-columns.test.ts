import { tableFromRows } from '@peft/data';
import { describe, expect, it } from 'vitest';
import { chooseTextColumns, textSettings } from './text-columns.js';

const table = tableFromRows(
  Array.from({ length: 30 }, (_, i) => ({
    topic: i % 2 ? 'a' : 'b',
    title: `a title of ${i} words`,
    body: `some longer text number ${i}`,
    colour: i % 3 ? 'red' : 'blue',
    size: i * 1.5,
    same: 'x',
  })),
);

describe('the columns that are learnt from', () => {
  it('are those of texts; others are named in a warning, a column of one value is not', () => {
    const { columns, warnings } = chooseTextColumns(table, { labels: ['topic'] });
    expect(columns).toEqual(['title', 'body']);
    expect(warnings).toEqual(['only texts are learnt from: "colour", "size" are not used.']);
  });

  it('may be named, or typed', () => {
    expect(chooseTextColumns(table, { labels: ['topic'], textColumns: ['body'] })).toEqual({
      columns: ['body'],
      warnings: [],
    });
    expect(
      chooseTextColumns(table, {
        labels: ['topic'],
        columnTypes: { colour: 'text', title: 'categorical' },
      }).columns,
    ).toEqual(['body', 'colour']);
    expect(() => chooseTextColumns(table, { labels: ['topic'], textColumns: ['topic'] })).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_INVALID' }),
    );
  });

  it('that are named leave others alone, whatever these hold', () => {
    const nested = tableFromRows([
      { topic: 1, body: 'some words here', notes: ['a', 'b'] },
      { topic: 2, body: 'other words there', notes: [] },
    ]);
    expect(chooseTextColumns(nested, { labels: ['topic'], textColumns: ['body'] }).columns).toEqual(
      ['body'],
    );
    expect(() => chooseTextColumns(nested, { labels: ['topic'], textColumns: ['bdoy'] })).toThrow(
      expect.objectContaining({ code: 'PEFT_COLUMN_MISSING' }),
    );
  });

  it('are found where words have no spaces between them, with a warning', () => {
    const japanese = tableFromRows(
      ['猫が好き', '犬が好き', '鳥が飛ぶ', '魚が泳ぐ'].map((text, i) => ({ topic: i % 2, text })),
    );
    const { columns, warnings } = chooseTextColumns(japanese, { labels: ['topic'] });
    expect(columns).toEqual(['text']);
    expect(warnings).toEqual(['no column looks like sentences; "text" is taken for text.']);
  });

  it('must be there', () => {
    expect(() => chooseTextColumns(table.pick(['topic', 'size']), { labels: ['topic'] })).toThrow(
      expect.objectContaining({ code: 'PEFT_TEXT_COLUMN_MISSING' }),
    );
  });
});

it('texts have up to two segments, where the model has them', () => {
  const settings = (types: number) => textSettings(['text'], 64, { type_vocab_size: types });
  expect(settings(0)).toEqual({ columns: ['text'], maxLength: 64, segments: 1 });
  expect(settings(2).segments).toBe(2);
  expect(settings(4).segments).toBe(2);
});
