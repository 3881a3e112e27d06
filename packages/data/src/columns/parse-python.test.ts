import { expect, it } from 'vitest';
import { parsePython } from './parse-python.js';

it.each<[string, unknown]>([
  [
    `[{'role': 'user', 'content': "it's"}, {'role': 'assistant', 'content': 'a "b"\\n'}]`,
    [
      { role: 'user', content: "it's" },
      { role: 'assistant', content: 'a "b"\n' },
    ],
  ],
  // pandas, of a list column that came from Parquet
  [
    `[{'content': 'hi', 'role': 'user'}\n {'content': 'caf\\xe9', 'role': 'assistant'}]`,
    [
      { content: 'hi', role: 'user' },
      { content: 'café', role: 'assistant' },
    ],
  ],
  [
    `array([{'a': None, 'b': (1, -2.5e3, True)}], dtype=object)`,
    [{ a: null, b: [1, -2500, true] }],
  ],
  [' {} ', {}],
  ['[]', []],
  ["{'a': nan, 1: False,}", { a: null, 1: false }],
])('reads %s', (text, value) => expect(parsePython(text)).toEqual(value));

it.each([
  'hello',
  '[hello]',
  "{'a'}",
  "{'a': }",
  "[{'a': 1}",
  "['a'] 'b'",
  "{'a': datetime.date(2020, 1, 1)}",
  '{[1]: 2}',
  `${'['.repeat(100_000)}1`,
  "['open",
])('reads nothing from %.40s', (text) => expect(parsePython(text)).toBeUndefined());
