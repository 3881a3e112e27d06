import { describe, expect, it } from 'vitest';
import { tableFromColumns } from '../tables/table.js';
import { inferColumnTypes, type ColumnType } from './column-types.js';
import { fitLabelEncoder, restoreLabelEncoder } from './label-encoder.js';
import { fitLabelScaler, restoreLabelScaler } from './label-scaler.js';
import { inferProblemType } from './problem-type.js';

const of = (columns: Record<string, readonly unknown[]>) =>
  tableFromColumns(new Map(Object.entries(columns)));
const repeat = <T>(n: number, at: (i: number) => T) => Array.from({ length: n }, (_, i) => at(i));

describe('column types', () => {
  const table = of({
    text: repeat(100, (i) => `this is sentence number ${i}`),
    japanese: repeat(100, (i) => `これは${i}番目の文です`),
    colour: repeat(100, (i) => ['red', 'green', 'blue'][i % 3]),
    price: repeat(100, (i) => i * 0.5),
    spelled: repeat(100, (i) => String(i)),
    constant: repeat(100, () => 'same'),
    nothing: repeat(100, () => null),
    repeated: repeat(100, (i) => `one of nine texts of words ${i % 9}`),
  });

  it('follow the rules of AutoGluon', () => {
    expect(Object.fromEntries(inferColumnTypes(table))).toEqual({
      text: 'text',
      japanese: 'categorical',
      colour: 'categorical',
      price: 'numerical',
      spelled: 'numerical',
      constant: 'null',
      nothing: 'null',
      repeated: 'categorical',
    });
  });

  it('are taken as given where the user knows better', () => {
    expect(inferColumnTypes(table, { given: { japanese: 'text' } }).get('japanese')).toBe('text');
    expect(() => inferColumnTypes(table, { given: { japanesse: 'text' } })).toThrowError(
      /Did you mean "japanese"/,
    );
    expect(() =>
      inferColumnTypes(table, { given: { japanese: 'txt' as ColumnType } }),
    ).toThrowError(/one of text, categorical/);
  });

  it('are not categorical when the validation table has other values', () => {
    const validation = of({ colour: ['a new colour of long name', 'red'] });
    expect(inferColumnTypes(table.pick(['colour']), { validation }).get('colour')).toBe(
      'categorical',
    ); // by the last rule, no text
    expect(
      inferColumnTypes(table.pick(['repeated']), {
        validation: of({ repeated: ['a tenth text of words'] }),
      }).get('repeated'),
    ).toBe('text');
  });
});

describe('problem type', () => {
  it.each([
    ['two texts', repeat(20, (i) => ['no', 'yes'][i % 2]), 'binary'],
    ['two numbers in two rows', [0, 1], 'binary'],
    ['booleans', [true, false, true], 'binary'],
    ['seven texts', repeat(200, (i) => `class ${i % 7}`), 'multiclass'],
    ['as many texts as rows', ['a', 'b', 'c'], 'multiclass'],
    ['five numbers in many rows', repeat(200, (i) => i % 5), 'multiclass'],
    ['many numbers', repeat(200, (i) => i * 1.5), 'regression'],
    ['three numbers in few rows', [1, 2, 3, 1, 2, 3], 'regression'],
  ])('%s: %s', (_, label, expected) => {
    expect(inferProblemType(of({ label }), 'label')).toBe(expected);
  });

  it('is what the user says', () => {
    expect(
      inferProblemType(of({ label: [1, 2, 3, 1] }), 'label', { given: 'classification' }),
    ).toBe('multiclass');
    expect(inferProblemType(of({ label: [0, 1, 0] }), 'label', { given: 'regression' })).toBe(
      'regression',
    );
  });

  it.each([
    ['one class', of({ label: [1, 1] }), {}, 'PEFT_LABEL_ONE_CLASS'],
    ['missing labels', of({ label: [1, null] }), {}, 'PEFT_LABEL_MISSING_VALUES'],
    [
      'missing labels for validation',
      of({ label: [1, 0] }),
      { validation: of({ label: [null] }) },
      'PEFT_LABEL_MISSING_VALUES',
    ],
    [
      'three classes called binary',
      of({ label: [1, 2, 3] }),
      { given: 'binary' as const },
      'PEFT_PROBLEM_TYPE_MISMATCH',
    ],
    [
      'two classes called multiclass',
      of({ label: [1, 2] }),
      { given: 'multiclass' as const },
      'PEFT_PROBLEM_TYPE_MISMATCH',
    ],
    [
      'texts to be regressed',
      of({ label: ['a', 'b'] }),
      { given: 'regression' as const },
      'PEFT_LABEL_NOT_NUMERIC',
    ],
    [
      'a kind that is none',
      of({ label: [1, 2] }),
      { given: 'ner' as never },
      'PEFT_CONFIG_INVALID',
    ],
  ])('refuses %s', (_, table, options, code) => {
    expect(() => inferProblemType(table, 'label', options)).toThrowError(
      expect.objectContaining({ code }),
    );
  });
});

describe('the label encoder', () => {
  it.each([
    [
      'texts by code point',
      ['b', 'Z', 'a', 'ä', '\u{1f600}', '\uff5e'],
      ['Z', 'a', 'b', 'ä', '\uff5e', '\u{1f600}'],
    ],
    ['numbers by value', [10, 9, -1.5], [-1.5, 9, 10]],
    ['booleans', [true, false], [false, true]],
  ])('sorts %s as scikit-learn does', (_, labels, classes) => {
    const encoder = fitLabelEncoder(labels);
    expect(encoder.classes).toEqual(classes);
    expect([...encoder.encode(labels)].map((id) => encoder.decode(id))).toEqual(labels);
    expect(
      restoreLabelEncoder(JSON.parse(JSON.stringify(encoder.classes)) as never).encode(labels),
    ).toEqual(encoder.encode(labels));
  });

  it('knows a label that another file spells as a text or a number', () => {
    expect([...fitLabelEncoder([0, 1]).encode(['1', 0])]).toEqual([1, 0]);
    expect([...fitLabelEncoder(['0', '1']).encode([1])]).toEqual([1]);
  });

  it('names a label that it was not fitted on', () => {
    expect(() => fitLabelEncoder(['ham', 'spam']).encode(['ham', 'eggs']))
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: data: row 1 has the label "eggs", which the training data did not have.
        hint: Known labels: "ham", "spam".]
    `);
    expect(() => fitLabelEncoder([0, 1]).decode(2)).toThrowError(/no class 2/);
  });

  it.each([
    [[1, 1], 'PEFT_LABEL_ONE_CLASS'],
    [['a', null], 'PEFT_LABEL_MISSING_VALUES'],
    [['a', 1], 'PEFT_LABEL_MIXED'],
  ])('refuses %j', (labels, code) => {
    expect(() => fitLabelEncoder(labels)).toThrowError(expect.objectContaining({ code }));
  });
});

describe('the label scaler', () => {
  it('has mean 0 and deviation 1, and goes back', () => {
    // mean 5, deviation 2 with denominator n
    const scaler = fitLabelScaler([2, 4, 4, 4, 5, 5, 7, 9]);
    expect([scaler.mean, scaler.deviation]).toEqual([5, 2]);
    expect([...scaler.encode([9, 5])]).toEqual([2, 0]);
    expect(restoreLabelScaler(scaler).decode(2)).toBe(9);
    expect(fitLabelScaler([3, 3]).deviation).toBe(1);
  });

  it('refuses what is no number', () => {
    expect(() => fitLabelScaler([1, 'many'])).toThrowError(
      expect.objectContaining({ code: 'PEFT_LABEL_NOT_NUMERIC' }),
    );
    expect(() => fitLabelScaler([1, null])).toThrowError(
      expect.objectContaining({ code: 'PEFT_LABEL_NOT_NUMERIC' }),
    );
  });
});
