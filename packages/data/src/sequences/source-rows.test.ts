import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createChatTemplate } from '../chat/chat-template.js';
import { tableFromRows } from '../tables/table.js';
import { tokenizeTable } from '../texts/tokenize-table.js';
import { loadTokenizer } from '../tokenizer/load-tokenizer.js';
import { chatData } from './chat-data.js';
import { completionData } from './completion-data.js';
import { pairData } from './pair-data.js';
import { plainTextData } from './plain-text-data.js';
import { textGroupData } from './text-group-data.js';
import { wordData } from './word-data.js';

const tokenizerOf = (name: string) =>
  loadTokenizer(
    fileURLToPath(new URL(`../../../testing/fixtures/models/${name}`, import.meta.url)),
  );
const llama = tokenizerOf('llama');
const [BEGIN, END] = [llama.specialIds.bos!, llama.specialIds.eos!];
const LONG = 'word '.repeat(60);
const count = (ids: ArrayLike<number>, id: number) =>
  Array.from(ids).filter((x) => x === id).length;

describe('rows of the source', () => {
  it('that lose their end or all that counts are named: completions', async () => {
    const data = await completionData(
      [
        { prompt: 'a', completion: 'b' },
        { prompt: LONG, completion: 'b' },
        { prompt: 'a', completion: LONG },
      ],
      llama,
      { maxLength: 20 },
    );
    expect([data.skipped, data.cut]).toEqual([[1], [1, 2]]);
  });

  it('of conversations: cut off, without an answer', async () => {
    const template = createChatTemplate(
      '{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}{% if ' +
        'add_generation_prompt %}assistant:{% endif %}',
      llama,
    );
    const turn = (content: string, answer: string) => [
      { role: 'user', content },
      { role: 'assistant', content: answer },
    ];
    const data = await chatData(
      [turn('a', 'b'), turn(LONG, 'b'), [{ role: 'user', content: 'a' }], turn('a', LONG)],
      llama,
      template,
      { maxLength: 30 },
    );
    expect([data.skipped, data.cut]).toEqual([
      [1, 2],
      [1, 3],
    ]);
  });

  it('of pairs, groups, words and tables', async () => {
    const pairs = await pairData(
      [
        { source: 'a', target: 'b' },
        { source: 'a', target: LONG },
      ],
      tokenizerOf('t5'),
      { maxSourceLength: 20, maxTargetLength: 20, startId: 0 },
    );
    expect(pairs.cut).toEqual([1]);
    const groups = await textGroupData(
      [
        ['a', LONG],
        ['a', 'b'],
      ],
      llama,
      { maxLength: 20 },
    );
    expect(groups.cut).toEqual([0]);
    const words = await wordData([{ words: LONG.trim().split(' ') }, { words: ['a'] }], llama, {
      maxLength: 20,
      tags: ['O'],
    });
    expect(words.cut).toEqual([0]);
    const table = tableFromRows([
      { a: 'x', b: LONG },
      { a: null, b: '' },
      { a: 'x', b: 'y' },
    ]);
    const tokens = await tokenizeTable(table, ['a', 'b'], tokenizerOf('bert'), { maxLength: 20 });
    expect([tokens.cut, tokens.empty]).toEqual([[0], [1]]);
  });
});

describe('texts that a template rendered already', () => {
  const rendered = '<|begin_of_text|>what is it<|end_of_text|>';

  it.each([
    ['with both tokens', rendered],
    ['with a line end behind', `${rendered}\n`],
    ['with the begin token alone', '<|begin_of_text|>what is it'],
    ['with the end token alone', 'what is it<|end_of_text|>'],
  ])('get their begin and end tokens once: %s', async (_, text) => {
    const data = await plainTextData([text, 'plain'], llama, { maxLength: 30, packing: false });
    const { inputIds } = data.pack([0]);
    expect([count(inputIds, BEGIN), count(inputIds, END)]).toEqual([1, 1]);
    expect(inputIds.at(0)).toBe(BEGIN);
    expect(inputIds.at(-1)).toBe(END);
    expect(data.marked).toEqual([0]);
  });

  it('as prompts and completions, too', async () => {
    const data = await completionData(
      [{ prompt: '<|begin_of_text|>what is it', completion: ' it is<|end_of_text|>' }],
      llama,
      { maxLength: 30 },
    );
    const { inputIds, tokenLabels } = data.pack([0]);
    expect([count(inputIds, BEGIN), count(inputIds, END)]).toEqual([1, 1]);
    expect(count(tokenLabels, END)).toBe(1);
    expect(data.marked).toEqual([0]);
  });

  it('as sources and targets of an encoder-decoder, too', async () => {
    const t5 = tokenizerOf('t5');
    const rows = [
      { source: 'a b</s>', target: 'c</s>' },
      { source: 'a b', target: 'c' },
    ];
    const data = await pairData(rows, t5, { maxSourceLength: 9, maxTargetLength: 9, startId: 0 });
    expect(data.pack([0]).inputIds).toEqual(data.pack([1]).inputIds);
    expect(data.pack([0]).tokenLabels).toEqual(data.pack([1]).tokenLabels);
    expect(data.marked).toEqual([0]);
  });
});
