import { describe, expect, it } from 'vitest';
import { parseList } from './parse-list.js';

describe('lists in texts', () => {
  it.each([
    ['JSON', '["B-PER", "O"]', ['B-PER', 'O']],
    ['pandas', "['B-PER', 'O']", ['B-PER', 'O']],
    ['Python with both quotes', `['a', "it's", 'say \\'x\\'']`, ['a', "it's", "say 'x'"]],
    ['a Python tuple', "('a', 'b',)", ['a', 'b']],
    ['NumPy over two lines', "['B-PER' 'O'\n 'O']", ['B-PER', 'O', 'O']],
    ['NumPy numbers', '[0 3 0]', ['0', '3', '0']],
    ['NumPy 2 scalars', "[np.str_('a'), np.int64(3)]", ['a', '3']],
    ['a NumPy array', "array(['a', 'b'], dtype=object)", ['a', 'b']],
    ['R', 'c("a", "b")', ['a', 'b']],
    ['R without blanks', 'c("a","b")', ['a', 'b']],
    ['R numbers', 'c(1, 2)', ['1', '2']],
    ['bare words', '[B-PER, O]', ['B-PER', 'O']],
    ['commas and brackets in items', `['a, b', '[c]']`, ['a, b', '[c]']],
    ['escaped characters', String.raw`['caf\xe9', 'a\nb', '\u00fc']`, ['café', 'a\nb', 'ü']],
    ['an empty list', '[]', []],
  ])('of %s are read', (_, text, items) => expect(parseList(text)).toEqual(items));

  it.each([
    'Ada lives here',
    '[ 1 ] see above',
    '(sic) he said',
    '[MASK] is a token',
    'c is a letter',
  ])('are not seen in %s', (text) => expect(parseList(text)).toBeUndefined());

  it.each([
    ["['a', 'b"],
    ["['a', None]"],
    ['[1, nan]'],
    ["['a' 'b' ... 'y' 'z']"],
    ['c("a", NA)'],
    ["['it's']"],
  ])('that are broken or lack a value are null: %s', (text) => {
    const isOpen = !/[\])]$/.test(text);
    expect(parseList(text)).toBe(isOpen ? undefined : null);
  });
});
