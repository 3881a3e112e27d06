/** Tokenizers of strangers: refused by name, within seconds. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createTextTokenizer } from './text-tokenizer.js';
import type { TokenizerJson } from './tokenizer-json.js';

const corpus = (name: string): TokenizerJson =>
  JSON.parse(
    readFileSync(
      new URL(`../../../../tools/fuzz/corpus/harmful/tokenizer/${name}`, import.meta.url),
      'utf8',
    ),
  ) as TokenizerJson;
const sound = corpus('repeated-group.json');
const splitBy = (regex: string) =>
  createTextTokenizer({
    ...sound,
    pre_tokenizer: { type: 'Split', pattern: { Regex: regex }, behavior: 'Removed' },
  });

describe('a tokenizer of a stranger', () => {
  it('whose added token has no text is refused by name', () => {
    expect(() => createTextTokenizer(corpus('content-is-no-text.json'))).toThrow(
      'added_tokens[0].content must be a text, got {"a":{"a":[{"a":[1]}]}}',
    );
  });

  it.each([
    ['added_tokens', { added_tokens: {} }],
    ['added_tokens[0].id', { added_tokens: [{ id: 1e12, content: 'a' }] }],
    ['added_tokens[0].lstrip', { added_tokens: [{ id: 1, content: 'a', lstrip: 'yes' }] }],
    ['normalizer', { normalizer: 'NFC' }],
    ['normalizer.normalizers[0]', { normalizer: { type: 'Sequence', normalizers: [null] } }],
    ['pre_tokenizer.replacement', { pre_tokenizer: { type: 'Metaspace', replacement: [1] } }],
    ['model', { model: [] }],
    ['model.vocab["a"]', { model: { type: 'WordLevel', vocab: { a: 'b' } } }],
    ['model.vocab[0]', { model: { type: 'Unigram', vocab: [[1, 2]] } }],
    ['model.merges[0]', { model: { type: 'BPE', vocab: { a: 0 }, merges: [['a']] } }],
  ])('with something else where %s belongs is refused by name', (place, change) => {
    // as a file may hold it
    const json = JSON.parse(JSON.stringify({ ...sound, ...change })) as TokenizerJson;
    expect(() => createTextTokenizer(json)).toThrow(`${place} must be `);
  });

  it('that nests its components without end is refused', () => {
    let normalizer: object = { type: 'NFC' };
    for (let i = 0; i < 10_000; i += 1)
      normalizer = { type: 'Sequence', normalizers: [normalizer] };
    expect(() =>
      createTextTokenizer({ ...sound, normalizer: normalizer as { type: string } }),
    ).toThrow('too deeply');
  });

  it('whose regular expression backtracks without end gives up after a second', () => {
    const start = performance.now();
    expect(() => createTextTokenizer(sound).ids('a'.repeat(60))).toThrow(
      expect.objectContaining({ code: 'PEFT_TOKENIZER_PATTERN' }),
    );
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it.each([String.raw`(?:a|b)+`, String.raw`\s+`, String.raw`(\w)+(?!c)`])(
    'whose regular expression is sound splits as without a limit: %s',
    (regex) => {
      const text = 'ab ab  cab a';
      const pieces = text.split(new RegExp(regex.replace('(\\w)', '(?:\\w)'), 'u')).filter(Boolean);
      const known = new Map([
        ['a', 0],
        ['b', 1],
      ]);
      expect(splitBy(regex).ids(text)).toEqual(pieces.map((piece) => known.get(piece) ?? 2));
    },
  );
});
