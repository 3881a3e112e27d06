import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { loadTokenizer } from './load-tokenizer.js';

interface FixtureTokenizer {
  readonly single: { text: string; input_ids: number[]; decoded: string }[];
  readonly pairs: {
    text: string;
    pair: string;
    max_length: number | null;
    input_ids: number[];
    token_type_ids: number[];
  }[];
  readonly truncated: { text: string; max_length: number; input_ids: number[] };
}
interface FamilyCases {
  readonly ids: number[][];
  readonly decoded: string[];
  readonly pairs: {
    text: string;
    pair: string;
    maxLength: number;
    ids: number[];
    typeIds: number[];
  }[];
}
const root = fileURLToPath(new URL('../../../testing/fixtures/models/', import.meta.url));
const { texts, families } = JSON.parse(
  readFileSync(new URL('tokenizer-cases.json', import.meta.url), 'utf8'),
) as { texts: string[]; families: Record<string, FamilyCases> };
const scratch = mkdtempSync(join(tmpdir(), 'peft-tokenizer-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe.each(Object.keys(families))('the tokenizer of %s', (family) => {
  const tokenizer = loadTokenizer(join(root, family));
  const golden = (
    JSON.parse(readFileSync(join(root, family, 'case.json'), 'utf8')) as {
      tokenizer: FixtureTokenizer;
    }
  ).tokenizer;

  it('gives the ids of the reference for every hard string, and its text back', () => {
    for (const { text, input_ids, decoded } of golden.single) {
      expect({ text, ids: tokenizer.encode(text).ids }).toEqual({ text, ids: input_ids });
      expect(tokenizer.decode(input_ids)).toBe(decoded);
    }
  });

  it('joins and truncates pairs as the reference does', () => {
    for (const { text, pair, max_length, input_ids, token_type_ids } of golden.pairs) {
      expect(tokenizer.encode(text, { pair, maxLength: max_length ?? undefined })).toEqual({
        ids: input_ids,
        typeIds: token_type_ids,
      });
    }
    const { text, max_length, input_ids } = golden.truncated;
    expect(tokenizer.encode(text, { maxLength: max_length }).ids).toEqual(input_ids);
  });

  it('agrees with the tokenizers library on random strings and pairs', () => {
    const { ids, decoded, pairs } = families[family]!;
    expect(texts.map((text) => tokenizer.encode(text).ids)).toEqual(ids);
    expect(ids.map((each) => tokenizer.decode(each))).toEqual(decoded);
    for (const { text, pair, maxLength, ...expected } of pairs)
      expect(tokenizer.encode(text, { pair, maxLength })).toEqual(expected);
  });

  it('has every id of the reference inside its vocabulary', () => {
    const largest = Math.max(...golden.single.flatMap(({ input_ids }) => input_ids));
    expect(tokenizer.vocabularySize).toBeGreaterThan(largest);
    for (const id of Object.values(tokenizer.specialIds))
      expect(tokenizer.tokenToId(tokenizer.idToToken(id)!)).toBe(id);
  });
});

const withFiles = (files: Record<string, string | Uint8Array>) => {
  const folder = mkdtempSync(join(scratch, 'case-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
};
const fixture = (family: string, name: string) => readFileSync(join(root, family, name));

describe('without tokenizer.json', () => {
  it.each([
    ['deberta-v2', 'spm.model'],
    ['xlm-roberta', 'sentencepiece.bpe.model'],
    ['t5', 'spiece.model'],
    ['mistral', 'tokenizer.model'],
    ['bert', 'vocab.txt'],
    ['electra', 'vocab.txt'],
  ])('%s is built from %s, with equal ids', (family, name) => {
    const names = ['tokenizer_config.json', 'config.json', name];
    const tokenizer = loadTokenizer(
      withFiles(Object.fromEntries(names.map((each) => [each, fixture(family, each)]))),
    );
    const { ids, decoded, pairs } = families[family]!;
    expect(texts.map((text) => tokenizer.encode(text).ids)).toEqual(ids);
    expect(ids.map((each) => tokenizer.decode(each))).toEqual(decoded);
    for (const { text, pair, maxLength, ...expected } of pairs)
      expect(tokenizer.encode(text, { pair, maxLength })).toEqual(expected);
    const golden = JSON.parse(fixture(family, 'case.json').toString()) as {
      tokenizer: FixtureTokenizer;
    };
    for (const { text, input_ids } of golden.tokenizer.single)
      expect(tokenizer.encode(text).ids).toEqual(input_ids);
    expect(tokenizer.specialIds).toEqual(loadTokenizer(join(root, family)).specialIds);
  });

  it('gpt2 is built from vocab.json and merges.txt, with equal ids', () => {
    const json = JSON.parse(fixture('gpt2', 'tokenizer.json').toString()) as {
      model: { vocab: Record<string, number>; merges: [string, string][] };
    };
    const vocab = { ...json.model.vocab, '<|endoftext|>': 459 };
    const merges = json.model.merges.map((pair) => (Array.isArray(pair) ? pair.join(' ') : pair));
    const folder = withFiles({
      'vocab.json': JSON.stringify(vocab),
      'merges.txt': ['#version: 0.2', ...merges, ''].join('\n'),
      'config.json': '{"model_type": "gpt2"}',
    });
    expect(texts.map((text) => loadTokenizer(folder).encode(text).ids)).toEqual(families.gpt2!.ids);
  });

  it('deberta-v2 takes the mask from added_tokens.json, and its specials without any configuration', () => {
    const folder = withFiles({
      'spm.model': fixture('deberta-v2', 'spm.model'),
      'config.json': '{"model_type": "deberta-v2"}',
      'added_tokens.json': '{"[MASK]": 703}',
    });
    const tokenizer = loadTokenizer(folder);
    expect(tokenizer.specialIds).toMatchObject({ cls: 1, sep: 2, pad: 0, mask: 703, unk: 3 });
    expect(tokenizer.ids('[MASK]')).toEqual([703]);
    expect(tokenizer.vocabularySize).toBe(704);
  });

  it('a model file that is cut off or no model is an error', () => {
    const config = '{"model_type": "t5"}';
    const whole = fixture('t5', 'spiece.model');
    for (const bytes of [
      whole.subarray(0, 5000),
      Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0x7f),
      Uint8Array.of(0xff),
      new Uint8Array(0),
      Uint8Array.of(0x0f),
    ]) {
      expect(() =>
        loadTokenizer(withFiles({ 'spiece.model': bytes, 'config.json': config })),
      ).toThrowError(expect.objectContaining({ code: 'PEFT_TOKENIZER_INVALID' }));
    }
    expect(() =>
      loadTokenizer(
        withFiles({ 'spiece.model': whole, 'config.json': '{"model_type": "reformer"}' }),
      ),
    ).toThrowError(
      expect.objectContaining({
        code: 'PEFT_TOKENIZER_UNSUPPORTED',
        message: expect.stringContaining('unigram SentencePiece model of the family "reformer"'),
      }),
    );
    expect(() =>
      loadTokenizer(withFiles({ 'vocab.txt': 'a\nb\n', 'config.json': '{"model_type": "bert"}' })),
    ).toThrowError(/has no special token "\[CLS\]"/);
  });
});

describe('loadTokenizer', () => {
  it('reads special tokens and the length limit from the configuration', () => {
    const tokenizer = loadTokenizer(join(root, 'deberta-v2'));
    expect(tokenizer.specialIds).toEqual({
      cls: 1,
      sep: 2,
      pad: 0,
      eos: 2,
      bos: 1,
      mask: 700,
      unk: 3,
    });
    expect(tokenizer.modelMaxLength).toBe(64);
    expect(tokenizer.ids('')).toEqual([]);
  });

  it('knows the special tokens of a family whose configuration does not say them', () => {
    const files = {
      'tokenizer.json': readFileSync(join(root, 'bert/tokenizer.json'), 'utf8'),
      'config.json': '{"model_type": "bert"}',
    };
    expect(loadTokenizer(withFiles(files)).specialIds).toEqual({
      unk: 1,
      cls: 2,
      sep: 3,
      pad: 0,
      mask: 4,
    });
    expect(loadTokenizer(withFiles(files)).modelMaxLength).toBe(Number.POSITIVE_INFINITY);
  });

  it('takes special tokens written as objects, and none where it is null', () => {
    const config = JSON.stringify({
      cls_token: { content: '[CLS]' },
      sep_token: '[SEP]',
      mask_token: null,
      model_max_length: 1e30,
    });
    const folder = withFiles({
      'tokenizer.json': readFileSync(join(root, 'bert/tokenizer.json'), 'utf8'),
      'tokenizer_config.json': config,
      'special_tokens_map.json': '{"pad_token": "[PAD]", "mask_token": "[MASK]"}',
    });
    expect(loadTokenizer(folder)).toMatchObject({
      specialIds: { cls: 2, sep: 3, pad: 0 },
      modelMaxLength: Number.POSITIVE_INFINITY,
    });
    expect(loadTokenizer(folder).specialIds.mask).toBeUndefined();
  });

  it('says what is missing or broken', () => {
    expect(() => loadTokenizer(withFiles({}))).toThrowError(
      expect.objectContaining({ code: 'PEFT_TOKENIZER_MISSING' }),
    );
    expect(() => loadTokenizer(withFiles({ 'tokenizer.json': '{' }))).toThrowError(
      expect.objectContaining({ code: 'PEFT_TOKENIZER_INVALID' }),
    );
    expect(() => loadTokenizer(withFiles({ 'tokenizer.json': '{}' }))).toThrowError(
      expect.objectContaining({ code: 'PEFT_TOKENIZER_INVALID' }),
    );
    expect(() =>
      loadTokenizer(withFiles({ 'tokenizer.json': '{"model": {"type": "Magic"}}' })),
    ).toThrowError(/model "Magic" is not supported/);
  });

  it('covers all twelve fixture families', () => {
    expect(Object.keys(families)).toEqual([
      'bert',
      'deberta-v2',
      'electra',
      'flan-t5',
      'gpt2',
      'llama',
      'mistral',
      'mt5',
      'qwen2',
      'qwen3',
      't5',
      'xlm-roberta',
    ]);
  });
});
