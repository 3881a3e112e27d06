import { readFileSync } from 'node:fs';
import { allMethods } from '@peft/methods';
import { expect, it } from 'vitest';
import { methodsPage } from './methods-page.js';

it('docs/methods.md is what the methods say of themselves', () => {
  const page = readFileSync(new URL('../../docs/methods.md', import.meta.url), 'utf8');
  expect(page).toBe(methodsPage());
});

it('every method says what it computes', () => {
  expect(allMethods.filter(({ formula }) => formula === undefined)).toEqual([]);
});
