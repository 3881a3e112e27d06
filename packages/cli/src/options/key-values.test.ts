import { expect, test } from 'vitest';
import { keyValues } from './key-values.js';

test('values are JSON where they are JSON, else text; the last of two values holds', () => {
  expect(keyValues('fit: --set', ['a=3e-3', 'b=true', 'c=[1,2]', 'd=x=y', 'e=', 'a=4'])).toEqual({
    a: 4,
    b: true,
    c: [1, 2],
    d: 'x=y',
    e: '',
  });
});

test.each(['rank', '=16', ''])('%j is an error that shows the form', (word) => {
  expect(() => keyValues('inspect: --option', [word])).toThrow(
    /inspect: --option: ".*" is not of the form key=value\.\n {2}hint: for instance --option rank=/,
  );
});
