import { describe, expect, test } from 'vitest';
import { compileError } from './compile-binding.js';

/** Every run of node-gyp begins so. */
const BEGINNING =
  'gyp info it worked if it ends with ok\n' +
  'gyp info find Python using Python version 3.11.7 found at "/usr/bin/python3"\n';

describe('a compilation that fails', () => {
  test.each([
    ['without make', 'gyp ERR! stack Error: not found: make', 'PEFT_SETUP_TOOLS'],
    ['without a compiler', 'make: g++: No such file or directory', 'PEFT_SETUP_TOOLS'],
    [
      'without Python',
      'gyp ERR! find Python \ngyp ERR! find Python Python is not set from command line',
      'PEFT_SETUP_TOOLS',
    ],
    [
      'on a full disk',
      'fatal error: error writing to tfjs_backend.s: No space left on device',
      'PEFT_SETUP_SPACE',
    ],
    [
      "without Node's headers and a network",
      'gyp http GET https://nodejs.org/…-headers.tar.gz\ngyp ERR! stack is related to network connectivity.',
      'PEFT_SETUP_OFFLINE',
    ],
    [
      'because of the sources',
      "tfjs_backend.cc:20:10: error: 'TF_Nothing' was not declared in this scope",
      'PEFT_SETUP_COMPILE',
    ],
  ])('%s: a code of its own and a way out', (_why, words, code) => {
    const error = compileError(BEGINNING + words, '/home/me/setup', false);
    expect({ code: error.code, hasHint: Boolean(error.hint) }).toEqual({ code, hasHint: true });
  });

  test('says what the compiler said', () =>
    expect(
      compileError(`${BEGINNING}error: no network_interface`, '/setup', true).message,
    ).toContain('error: no network_interface'));
});
