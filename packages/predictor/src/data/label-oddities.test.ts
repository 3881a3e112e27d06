import { expect, it } from 'vitest';
import { labelOddities } from './label-oddities.js';

const codesOf = (cells: readonly (string | number)[]) =>
  labelOddities(cells, [...new Set(cells)]).map(({ code }) => code);
const often = <T>(times: number, ...labels: T[]): T[] =>
  Array.from({ length: times }, () => labels).flat();

it('words that say that a label is missing are named', () => {
  expect(codesOf(often(3, 'pos', 'neg', 'NaN'))).toEqual(['PEFT_LABEL_MISSING_WORD']);
  expect(labelOddities(often(2, 'NA', 'DE'), ['DE', 'NA'])[0]?.message).toBe(
    '"NA" is a class like any other.',
  );
  expect(codesOf(often(3, 'none', 'missing', 'unknown'))).toEqual([]);
});

it('a rare -1 beside class ids is named, one of a scale is not', () => {
  const snli = [...often(40, 0, 1, 2), -1, -1];
  expect(labelOddities(snli, [-1, 0, 1, 2]).map(({ message }) => message)).toEqual([
    '-1 is a class like 0, 1, 2.',
  ]);
  expect(labelOddities(often(20, -1, 0, 1), [-1, 0, 1])).toEqual([]);
});

it('amounts that are taken for classes are named', () => {
  const prices = Array.from({ length: 12 }, (_, i) => `$${i + 1},013.50`);
  expect(codesOf(often(2, ...prices))).toEqual(['PEFT_LABEL_AMOUNTS']);
  expect(codesOf(often(2, ...prices.map((_, i) => `${i}.5 %`)))).toEqual(['PEFT_LABEL_AMOUNTS']);
  expect(codesOf(often(2, '25%', '50%'))).toEqual([]);
  expect(codesOf(often(2, ...prices.map((_, i) => `${i} stars`)))).toEqual([]);
});

it('classes of a single row are named', () => {
  expect(labelOddities([...often(5, 'a', 'b'), 'c'], ['a', 'b', 'c'])).toEqual([
    {
      code: 'PEFT_LABEL_SINGLE_ROW',
      message: '1 of 3 classes has a single row ("c"), which no validation or test can score.',
      hint: 'give more rows of such classes, remove them, or choose another label column',
    },
  ]);
});
