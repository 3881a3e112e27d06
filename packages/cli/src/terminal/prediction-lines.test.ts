import { expect, test } from 'vitest';
import { predictionLines } from './prediction-lines.js';

test('labels stand beside their texts, which are cut at the width of the terminal', () => {
  expect(
    predictionLines(
      [{ label: 'sports' }, { label: 'politics' }],
      ['The team\nwon.', 'A very long speech about the budget of the year'],
      40,
    ),
  ).toEqual(['sports    The team won.', 'politics  A very long speech about the…']);
});

test('where another program reads, predictions stand alone', () => {
  expect(predictionLines([{ label: 1 }, { tags: ['O', 'B'] }], undefined, 80)).toEqual([
    '1',
    'O B',
  ]);
  expect(
    predictionLines([{ label: 'a', probabilities: { a: 0.75, b: 0.25 } }], undefined, 80),
  ).toEqual(['a\ta=0.7500 b=0.2500']);
  expect(
    predictionLines([{ labels: ['a', 'b'] }, { labels: [] }, { label: 'a' }], undefined, 80),
  ).toEqual(['a, b', '—', 'a']);
});

test('generated texts stand below their prompts where there are several', () => {
  expect(predictionLines([{ text: 'Hi.' }], ['Hello'], 80)).toEqual(['Hi.']);
  expect(predictionLines([{ text: 'Hi.' }, { text: 'Bye.' }], ['Hello', 'Ciao'], 80)).toEqual([
    '--- Hello',
    'Hi.',
    '--- Ciao',
    'Bye.',
  ]);
});
