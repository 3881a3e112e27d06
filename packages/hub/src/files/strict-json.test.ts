import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseStrictJson } from './strict-json.js';

const parse = (text: string) => parseStrictJson(Buffer.from(text));

describe('parseStrictJson', () => {
  test('reads what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test.each([
    ['{"a":1,"a":1}'],
    ['{"a":1,"\\u0061":2}'],
    ['{"x":[{"b":1,"c":{"d":[]},"b":2}]}'],
    ['{"":1,"":2}'],
    ['{"__proto__":1,"__proto__":2}'],
  ])('refuses a key that occurs twice: %s', (text) => {
    expect(() => parse(text)).toThrow('occurs twice');
  });

  test.each([
    ['{"a":"b","b":"a"}'],
    ['[{"a":1},{"a":1}]'],
    ['{"a":{"a":{"a":1}}}'],
    ['{"a":["a","a"],"b":"\\"a\\":1,"}'],
  ])('keeps keys of different objects, and values, apart: %s', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  test('refuses deep nesting, broken text and bytes that are no UTF-8', () => {
    expect(() => parse('['.repeat(1_000_000))).toThrow('nests deeper');
    for (const text of ['', '{', '{"a":1', '{"a"}', '{"a":1}}', '"\\', '{"\\x":1}'])
      expect(() => parse(text)).toThrow();
    expect(() => parseStrictJson(Uint8Array.of(0x22, 0xff, 0x22))).toThrow('UTF-8');
  });
});
