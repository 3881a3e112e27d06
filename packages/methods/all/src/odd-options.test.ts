/** Whatever stands where an option belongs: a method is made, or refuses it by name. */
import { PeftError } from '@peft/errors';
import { expect, it } from 'vitest';
import { methodNamed, methodNames } from './index.js';

/** What JSON and YAML can hold. */
const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  '',
  'a',
  '(.+)+X',
  '[',
  0,
  -1,
  0.5,
  1e9,
  1e308,
  Number.NaN,
  [],
  [null],
  [[[]]],
  ['(.+)+X'],
  {},
  [{}],
  { a: null },
  { a: { a: [1] } },
  { '(': 1 },
];

const METHODS = methodNames().filter((name) => optionsOf(name).length > 0);

it('is tried of the methods that have options of their own', () =>
  expect(methodNames().length - METHODS.length).toBeLessThan(6));

it.each(METHODS)('%s refuses odd options by name', (name) => {
  for (const option of optionsOf(name))
    for (const value of ODD_VALUES) {
      try {
        methodNamed(name, { [option]: value });
      } catch (error) {
        const told = `${option}: ${JSON.stringify(value)}: ${(error as Error).stack}`;
        expect(error, told).toBeInstanceOf(PeftError);
      }
    }
});

/** As the refusal of an unknown one lists them. */
function optionsOf(name: string): readonly string[] {
  try {
    methodNamed(name, { noSuchOption: 1 });
  } catch (error) {
    return /Known options: (.*)/.exec((error as Error).message)?.[1]!.split(', ') ?? [];
  }
  return [];
}
