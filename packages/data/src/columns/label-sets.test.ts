import { describe, expect, it } from 'vitest';
import { tableFromRows } from '../tables/table.js';
import {
  fitLabelSets,
  holdsLabelLists,
  readLabelSets,
  restoreLabelSets,
  separatorInLabels,
} from './label-sets.js';

const of = (...cells: readonly unknown[]) => tableFromRows(cells.map((topics) => ({ topics })));

describe('labels of rows', () => {
  it('are lists, texts that spell lists, or typed arrays as Parquet gives them', () => {
    const table = of(['b', 'a', 'b'], '["a"]', "['c', 'a']", [], Int32Array.of(7, 8));
    expect(holdsLabelLists(table, 'topics')).toBe(true);
    expect(readLabelSets(table, { column: 'topics' })).toEqual([
      ['b', 'a'],
      ['a'],
      ['c', 'a'],
      [],
      ['7', '8'],
    ]);
  });

  it('are parts of a text with a separator between them; an empty cell has none', () => {
    const table = of('a|b', ' b | c|', null, 3);
    expect(readLabelSets(table, { column: 'topics', separator: '|' })).toEqual([
      ['a', 'b'],
      ['b', 'c'],
      [],
      ['3'],
    ]);
  });

  it('are columns of 0 and 1', () => {
    const table = tableFromRows([
      { a: 1, b: 0 },
      { a: true, b: '1' },
    ]);
    expect(readLabelSets(table, { columns: ['b', 'a'] })).toEqual([['a'], ['b', 'a']]);
    expect(() => readLabelSets(tableFromRows([{ a: 2 }]), { columns: ['a'] })).toThrow(
      'row 0 of rows, column "a" must be 0 or 1, got 2',
    );
    expect(() => readLabelSets(tableFromRows([{ a: null }]), { columns: ['a'] })).toThrow(
      expect.objectContaining({ code: 'PEFT_LABEL_MISSING_VALUES' }),
    );
  });

  it('that are no lists are named with their row', () => {
    expect(() => readLabelSets(of(['a'], 'news|sports'), { column: 'topics' })).toThrow(
      'row 1 of rows, column "topics" must be a list of labels, got "news|sports"',
    );
    expect(() => readLabelSets(of(['a'], null), { column: 'topics' })).toThrow(
      expect.objectContaining({ code: 'PEFT_LABEL_MISSING_VALUES' }),
    );
    expect(holdsLabelLists(of(['a'], 'b'), 'topics')).toBe(false);
  });

  it('with a separator between them are noticed, sentences and plain classes are not', () => {
    expect(separatorInLabels(of('a|b', 'b', 'a|c', 'c|b', 'a'), 'topics')).toBe('|');
    expect(separatorInLabels(of('news', 'news,sport', 'news', 'news, sport'), 'topics')).toBe(',');
    expect(separatorInLabels(of('a', 'b', 'a', 'b'), 'topics')).toBeUndefined();
    expect(separatorInLabels(of('B', 'A, Inc.', 'A, Inc.'), 'topics')).toBeUndefined();
    expect(separatorInLabels(of('x|1', 'y|2'), 'topics')).toBeUndefined();
  });

  it('become indicators in the order of the labels', () => {
    const encoder = fitLabelSets([['b'], ['c', 'a'], []], { column: 'topics' });
    expect(encoder.classes).toEqual(['a', 'b', 'c']);
    expect([...encoder.encode([['c', 'a'], []])]).toEqual([1, 0, 1, 0, 0, 0]);
    expect(() => restoreLabelSets(['a', 'b']).encode([['a'], ['d']])).toThrow(
      'row 1 has the label "d", which the training data did not have',
    );
    expect(() => fitLabelSets([['a'], []], { column: 'topics' })).toThrow(
      expect.objectContaining({ code: 'PEFT_LABEL_ONE_CLASS' }),
    );
  });
});
