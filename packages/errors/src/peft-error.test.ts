import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { PeftError } from './peft-error.js';

class OtherError extends PeftError {}

test('an error of another copy of the package is an instance, too', () => {
  const source = JSON.stringify(new URL('./peft-error.ts', import.meta.url).href);
  const program = `
    const [one, two] = [await import(${source}), await import(${source} + '?copy')];
    const error = new two.PeftError('PEFT_TEST_FAILED', 'test: it failed.');
    console.log(one.PeftError === two.PeftError, error instanceof one.PeftError, error.code);`;
  const printed = execFileSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', program],
    { cwd: fileURLToPath(new URL('../../..', import.meta.url)), encoding: 'utf8' },
  );
  expect(printed.trim()).toBe('false true PEFT_TEST_FAILED');
});

test('nothing else is an instance', () => {
  const error = new PeftError('PEFT_TEST_FAILED', 'test: it failed.');
  for (const value of [new Error('no'), { code: 'PEFT_TEST_FAILED' }, 'PEFT', undefined, null])
    expect(value instanceof PeftError).toBe(false);
  expect(error instanceof OtherError).toBe(false);
  expect(new OtherError('PEFT_TEST_FAILED', 'test: it failed.')).toBeInstanceOf(OtherError);
  expect(Object.keys(error)).toEqual(['code', 'hint', 'name']);
});
