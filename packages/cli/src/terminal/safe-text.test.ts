import { expect, test } from 'vitest';
import { safeText } from './safe-text.js';

test('what a terminal obeys is shown, what people write stays', () => {
  expect(safeText('\u001b[2J\u001b]0;title\u0007 gone')).toBe(
    '\\u001b[2J\\u001b]0;title\\u0007 gone',
  );
  expect(safeText('ok\rfailed\b\u009b1A\u007f')).toBe('ok\\u000dfailed\\u0008\\u009b1A\\u007f');
  expect(safeText('user\u202Etxt')).toBe('user\\u202etxt');
  expect(safeText('täxt\t日本語 🙂\r\nشكرا\n')).toBe('täxt\t日本語 🙂\nشكرا\n');
});

test('a shown line of JSON still has its value', () => {
  const row = { label: 'a\u009bb\u001b' };
  expect(JSON.parse(safeText(JSON.stringify(row)))).toEqual(row);
});
