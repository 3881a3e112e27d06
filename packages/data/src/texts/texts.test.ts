import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { tableFromRows } from '../tables/table.js';
import { loadTokenizer } from '../tokenizer/load-tokenizer.js';
import { joinTexts, joinTokens } from './join-texts.js';
import { maximumTextLength } from './maximum-text-length.js';
import { tokenizeTable } from './tokenize-table.js';
import { trimLengths } from './trim-lengths.js';

const tokenizerOf = (family: string) =>
  loadTokenizer(
    fileURLToPath(new URL(`../../../testing/fixtures/models/${family}`, import.meta.url)),
  );
const run = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

describe('trimming several texts', () => {
  it.each([
    [[3, 4], 10, [3, 4]],
    [[3, 40], 10, [3, 7]], // the longest loses first
    [[50, 40], 11, [6, 5]], // the odd token goes to the first
    [[2, 9, 9], 12, [2, 5, 5]],
    [[1, 9, 9], 12, [1, 6, 5]],
    [[9, 9, 9], 2, [1, 1, 0]],
    [[0, 5], 3, [0, 3]],
    [[5], 0, [0]],
  ])('%j to %d tokens gives %j', (lengths, budget, expected) => {
    expect(trimLengths(lengths, budget)).toEqual(expected);
  });
});

describe('joining texts', () => {
  const bert = { start: 1, separator: 2, end: 2 };
  const t5 = { start: undefined, separator: 2, end: 2 };

  it('frames one text by the special tokens and gives it the rest of the length', () => {
    expect(joinTexts([run(10, 3)], bert, { maxLength: 512 }).ids).toEqual([1, 10, 11, 12, 2]);
    expect(
      joinTexts([run(10, 600)], bert, { maxLength: 512 }).ids.filter((id) => id >= 10),
    ).toHaveLength(510);
    expect(
      joinTexts([run(10, 600)], t5, { maxLength: 512 }).ids.filter((id) => id >= 10),
    ).toHaveLength(511);
  });

  it('puts a separator after every text, and numbers the segments', () => {
    expect(joinTexts([[10], [20, 21]], bert, { maxLength: 9, segments: 2 })).toEqual({
      ids: [1, 10, 2, 20, 21, 2],
      typeIds: [0, 0, 0, 1, 1, 1],
    });
    expect(joinTexts([[10], [20], [30]], bert, { maxLength: 9, segments: 2 }).typeIds).toEqual([
      0, 0, 0, 1, 1, 0, 0,
    ]);
    expect(joinTexts([[10], [20]], t5, { maxLength: 9 })).toEqual({
      ids: [10, 2, 20, 2],
      typeIds: [0, 0, 0, 0],
    });
    expect(joinTexts([[10], [20]], bert, { maxLength: 9, separateTexts: false }).ids).toEqual([
      1, 10, 20, 2,
    ]);
  });

  it('ends with the end token where it is not the separator, still within the length', () => {
    const { ids } = joinTexts([run(10, 9)], { start: 1, separator: 1, end: 2 }, { maxLength: 6 });
    expect(ids).toEqual([1, 10, 11, 12, 1, 2]);
  });

  it('uses the special tokens that the tokeniser has', () => {
    expect(joinTokens(tokenizerOf('deberta-v2'))).toEqual({ start: 1, separator: 2, end: 2 });
    expect(joinTokens(tokenizerOf('xlm-roberta'))).toEqual({ start: 0, separator: 2, end: 2 });
    expect(joinTokens(tokenizerOf('t5'))).toEqual({ start: undefined, separator: 1, end: 1 });
    // BOS and EOS are one token
    expect(joinTokens(tokenizerOf('gpt2'))).toEqual({ start: undefined, separator: 459, end: 459 });
    expect(joinTokens(tokenizerOf('llama'))).toEqual({ start: 456, separator: 456, end: 457 });
    expect(() => joinTokens({ specialIds: { pad: 0 } })).toThrowError(
      expect.objectContaining({ code: 'PEFT_TOKENIZER_SPECIAL_MISSING' }),
    );
  });

  it('says when the length leaves no room', () => {
    expect(() => joinTexts([[1], [2]], bert, { maxLength: 2 })).toThrowError(
      /too short for 2 texts/,
    );
  });
});

describe('the longest text', () => {
  it.each([
    ['the position table', 512, { model_type: 'bert', max_position_embeddings: 128 }, 512, 128],
    ['what was asked for', 64, { model_type: 'bert', max_position_embeddings: 128 }, 512, 64],
    [
      'the tokeniser for relative positions',
      512,
      { model_type: 'deberta-v2', relative_attention: true, max_position_embeddings: 512 },
      1e30,
      512,
    ],
    [
      'the tokeniser for relative positions, when it is stricter',
      512,
      { model_type: 'deberta-v2', relative_attention: true, max_position_embeddings: 512 },
      64,
      64,
    ],
    ['the tokeniser without a position table', undefined, { model_type: 't5' }, 512, 512],
    [
      'the usable rows of RoBERTa',
      undefined,
      { model_type: 'xlm-roberta', max_position_embeddings: 514, pad_token_id: 1 },
      512,
      512,
    ],
  ])('is bounded by %s', (_, wanted, config, limit, expected) => {
    expect(maximumTextLength(wanted, config, limit)).toBe(expected);
  });
});

describe('tokenising a table', () => {
  const tokenizer = tokenizerOf('bert');
  const table = tableFromRows([
    { a: 'Great sound', b: 'yes' },
    { a: null, b: 12 },
    { a: 'The battery died after two weeks.', b: true },
  ]);

  it('joins the columns of each row and packs the rows asked for', async () => {
    const tokenized = await tokenizeTable(table, ['a', 'b'], tokenizer, {
      maxLength: 64,
      segments: 2,
    });
    const batch = tokenized.batch([2, 1], Int32Array.of(5, 6, 7));
    expect(batch.rows).toEqual(Int32Array.of(2, 1));
    expect(batch.labels).toEqual(Int32Array.of(7, 6));
    expect(batch.offsets).toEqual(
      Int32Array.of(0, tokenized.lengths[2]!, tokenized.lengths[2]! + tokenized.lengths[1]!),
    );
    const expected = [
      ...tokenizer.encode('The battery died after two weeks.', { pair: 'true' }).ids,
      ...tokenizer.encode('', { pair: '12' }).ids,
    ];
    expect([...batch.inputIds]).toEqual(expected);
    expect(batch.tokenTypeIds).toHaveLength(expected.length);
  });

  it('leaves segments out for models without them', async () => {
    const tokenized = await tokenizeTable(table, ['a'], tokenizer, { maxLength: 4 });
    expect(tokenized.batch([0]).tokenTypeIds).toBeUndefined();
    expect(Math.max(...tokenized.lengths)).toBe(4);
  });

  it('stops when aborted', async () => {
    await expect(
      tokenizeTable(table, ['a'], tokenizer, {
        maxLength: 8,
        signal: AbortSignal.abort(new Error('stop')),
      }),
    ).rejects.toThrowError('stop');
  });
});

describe('position tables', () => {
  const limit = (config: object) => maximumTextLength(512, config, Number.POSITIVE_INFINITY);

  it("bound texts under every family's name for them", () => {
    expect(limit({ model_type: 'gpt2', n_positions: 64 })).toBe(64);
    expect(maximumTextLength(undefined, { model_type: 'gpt2' }, 1e9)).toBe(1024);
    expect(limit({ model_type: 'qwen3', max_position_embeddings: 256 })).toBe(256);
    expect(limit({ model_type: 'roberta', max_position_embeddings: 130, pad_token_id: 1 })).toBe(
      128,
    );
  });

  it('are none where positions are relative', () => {
    // T5's configuration has n_positions, which nothing reads
    expect(limit({ model_type: 't5', n_positions: 64, relative_attention_num_buckets: 32 })).toBe(
      512,
    );
    expect(limit({ relative_attention: true, max_position_embeddings: 64 })).toBe(512);
  });
});
