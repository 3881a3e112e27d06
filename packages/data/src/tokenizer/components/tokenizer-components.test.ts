import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createDecoder } from './decoders.js';
import { createNormalizer } from './normalizers.js';
import { createPostProcessor } from './post-processors.js';
import { createPreTokenizer } from './pre-tokenizers.js';
import { createModel } from '../models/token-models.js';
import type { ComponentJson, TokenizerJson } from '../tokenizer-json.js';

interface ComponentCase<T> {
  readonly json: ComponentJson;
  readonly expected: T[];
}
const cases = JSON.parse(
  readFileSync(new URL('../tokenizer-cases.json', import.meta.url), 'utf8'),
) as {
  about: string;
  texts: string[];
  pieces: string[][];
  normalizers: ComponentCase<string>[];
  preTokenizers: ComponentCase<string[]>[];
  decoders: ComponentCase<string>[];
};
const deberta = JSON.parse(
  readFileSync(
    new URL('../../../../testing/fixtures/models/deberta-v2/tokenizer.json', import.meta.url),
    'utf8',
  ),
) as TokenizerJson;
const { precompiled_charsmap } = (deberta.normalizer!.normalizers as ComponentJson[]).find(
  ({ type }) => type === 'Precompiled',
)!;
const title = (json: ComponentJson) => JSON.stringify(json).slice(0, 90);

describe(`components do what the tokenizers library does (${cases.about})`, () => {
  for (const { json, expected } of cases.normalizers) {
    it(`normalizer ${title(json)}`, () => {
      const normalize = createNormalizer(
        json.type === 'Precompiled' ? { ...json, precompiled_charsmap } : json,
      );
      expect(cases.texts.map(normalize)).toEqual(expected);
    });
  }
  for (const { json, expected } of cases.preTokenizers) {
    it(`pre-tokenizer ${title(json)}`, () => {
      const split = createPreTokenizer(json);
      expect(cases.texts.map((text) => split(text, true))).toEqual(expected);
    });
  }
  for (const { json, expected } of cases.decoders) {
    it(`decoder ${title(json)}`, () => {
      expect(cases.pieces.map(createDecoder(json))).toEqual(expected);
    });
  }
});

describe('a Unigram model', () => {
  const vocab = [
    ['<unk>', 0],
    ['a', -1],
    ['b', -1],
    ['ab', -1.5],
    ['aba', -2.5],
    ['🙂', -3],
  ];
  const model = createModel({ type: 'Unigram', vocab, unk_id: 0 });

  it('finds the most probable pieces', () => {
    expect(model.encode('ab')).toEqual([3]); // −1.5 > −1 − 1
    expect(model.encode('abab')).toEqual([3, 3]); // −3 > −2.5 − 1
  });

  it('keeps the first of equally probable ways, scanning from the left', () => {
    expect(model.encode('aba')).toEqual([4]); // −2.5 from the left end; −1.5 − 1 comes later and is not better
  });

  it('makes one unknown token of neighbouring unknown characters', () => {
    expect(model.encode('axyzb🙂🙃')).toEqual([1, 0, 2, 5, 0]);
  });

  it('spells unknown characters as bytes where it can', () => {
    const bytes = Array.from({ length: 256 }, (_, byte) => [
      `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
      -9,
    ]);
    const withBytes = createModel({
      type: 'Unigram',
      vocab: [...vocab, ...bytes],
      unk_id: 0,
      byte_fallback: true,
    });
    expect(withBytes.encode('aé')).toEqual([1, 6 + 0xc3, 6 + 0xa9]);
  });
});

describe('post-processors', () => {
  it('leave special tokens out when asked to', () => {
    const process = createPostProcessor({
      type: 'RobertaProcessing',
      sep: ['</s>', 2],
      cls: ['<s>', 0],
    });
    expect(process([[5], [6]], true)).toEqual({
      ids: [0, 5, 2, 2, 6, 2],
      typeIds: [0, 0, 0, 0, 0, 0],
    });
    expect(process([[5], [6]], false)).toEqual({ ids: [5, 6], typeIds: [0, 0] });
  });

  it('number the segments as BERT does', () => {
    const process = createPostProcessor({
      type: 'BertProcessing',
      sep: ['[SEP]', 2],
      cls: ['[CLS]', 1],
    });
    expect(process([[5], [6]], true)).toEqual({ ids: [1, 5, 2, 6, 2], typeIds: [0, 0, 0, 1, 1] });
  });
});

describe('what cannot be run', () => {
  it.each([
    ['normalizer', () => createNormalizer({ type: 'Magic' }), 'PEFT_TOKENIZER_UNSUPPORTED'],
    [
      'pre-tokenizer',
      () => createPreTokenizer({ type: 'UnicodeScripts' }),
      'PEFT_TOKENIZER_UNSUPPORTED',
    ],
    ['post-processor', () => createPostProcessor({ type: 'Magic' }), 'PEFT_TOKENIZER_UNSUPPORTED'],
    ['decoder', () => createDecoder({ type: 'Magic' }), 'PEFT_TOKENIZER_UNSUPPORTED'],
    ['model', () => createModel({ type: 'Magic' }), 'PEFT_TOKENIZER_UNSUPPORTED'],
    [
      'regular expression',
      () => createPreTokenizer({ type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' }),
      'PEFT_TOKENIZER_INVALID',
    ],
    [
      'character map that lies about its size',
      () => createNormalizer({ type: 'Precompiled', precompiled_charsmap: '/////w==' }),
      'PEFT_TOKENIZER_INVALID',
    ],
    [
      'Unigram vocabulary',
      () => createModel({ type: 'Unigram', vocab: [['a']] }),
      'PEFT_TOKENIZER_INVALID',
    ],
    [
      'unknown id',
      () => createModel({ type: 'Unigram', vocab: [['a', 0]], unk_id: 7 }),
      'PEFT_TOKENIZER_INVALID',
    ],
    [
      'WordPiece vocabulary',
      () => createModel({ type: 'WordPiece', vocab: { a: -1 } }),
      'PEFT_TOKENIZER_INVALID',
    ],
    [
      'template',
      () =>
        createPostProcessor({
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: '[X]', type_id: 0 } }],
          pair: [],
        }),
      'PEFT_TOKENIZER_INVALID',
    ],
  ])('is refused by name: %s', (_, build, code) => {
    expect(build).toThrowError(expect.objectContaining({ code }));
  });
});
