import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { documentData, groupRows } from '../sequences/document-data.js';
import { loadTokenizer } from '../tokenizer/load-tokenizer.js';
import { encodePairs, pairTable, type TextPair } from './encode-pairs.js';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../testing/fixtures/models/${name}`, import.meta.url));
/** transformers 5.17: tokenizer(a, b, truncation='longest_first', max_length=9) */
const PAIRS: readonly TextPair[] = [
  ['a dog', 'the cat sleeps in the old house of London'],
  ['the cat and the dog', 'the old house of the man in London'],
];
const EXPECTED = {
  bert: [
    [2, 145, 148, 42, 3, 287, 147, 286, 3],
    [2, 287, 147, 286, 3, 287, 159, 431, 3],
  ],
  'xlm-roberta': [
    [0, 11, 132, 2, 2, 9, 4, 32, 2],
    [0, 9, 4, 2, 2, 9, 4, 22, 2],
  ],
  llama: [
    [456, 64, 280, 78, 456, 83, 264, 281, 275],
    [456, 83, 264, 281, 456, 83, 264, 220, 434],
  ],
};

describe('pairs of texts', () => {
  it.each(Object.entries(EXPECTED))(
    'are joined and cut as transformers does, the longer text first: %s',
    async (name, expected) => {
      const { pairs, cut, empty } = await encodePairs(PAIRS, loadTokenizer(fixture(name)), {
        maxLength: 9,
      });
      expect(pairs.map(({ ids }) => [...ids])).toEqual(expected);
      expect([cut, empty]).toEqual([[0, 1], []]);
    },
  );

  it('have types where the model tells segments apart; what is whole or empty is known', async () => {
    const tokenizer = loadTokenizer(fixture('bert'));
    const encoded = await encodePairs(
      [
        ['the cat', 'a dog'],
        ['', ''],
      ],
      tokenizer,
      { maxLength: 10, segments: 2 },
    );
    expect([encoded.cut, encoded.empty]).toEqual([[], [1]]);
    const { tokenTypeIds, inputIds } = pairTable(encoded).batch([0]);
    expect([...inputIds]).toEqual([2, 287, 147, 286, 3, 145, 148, 42, 34, 3]);
    expect([...tokenTypeIds!]).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    const plain = await encodePairs([['the cat', 'a dog']], tokenizer, { maxLength: 10 });
    expect(pairTable(plain).batch([0]).tokenTypeIds).toBeUndefined();
    await expect(encodePairs([], tokenizer, { maxLength: 3 })).rejects.toThrow(
      'maxLength 3 leaves no room beside the 3 special tokens of a pair',
    );
  });

  it('of one query are packed together', async () => {
    const encoded = await encodePairs(
      [
        ['cat', 'a'],
        ['dog', 'a dog'],
        ['cat', 'the cat'],
      ],
      loadTokenizer(fixture('bert')),
      { maxLength: 32, segments: 2 },
    );
    const groups = groupRows(['cat', 'dog', 'cat']);
    expect(groups).toEqual([[0, 2], [1]]);
    const data = documentData(encoded, [0.5, 1, 0], groups);
    const batch = data.pack([1, 0]);
    expect([...batch.exampleOffsets]).toEqual([0, 1, 3]);
    expect([...batch.labels]).toEqual([1, 0.5, 0]);
    expect([...batch.rows]).toEqual([1, 0, 2]);
    const sizes = encoded.pairs.map(({ ids }) => ids.length);
    expect([...data.lengths]).toEqual([sizes[0]! + sizes[2]!, sizes[1]]);
    expect(batch.offsets.at(-1)).toBe(sizes.reduce((a, b) => a + b));
    expect(() => documentData(encoded, [1, 1, 1], [[]])).toThrow('query 0 has no documents');
  });
});
