import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createChatTemplate, type ChatMessage } from '../chat/chat-template.js';
import { loadTokenizer } from '../tokenizer/load-tokenizer.js';
import { chatData } from './chat-data.js';
import { completionData } from './completion-data.js';
import { pairData } from './pair-data.js';
import { plainTextData } from './plain-text-data.js';
import { textGroupData } from './text-group-data.js';
import type { TokenBatch } from './token-data.js';
import { tagsOf, wordData } from './word-data.js';

/** Made by transformers and tokenizers: tools/cases/make_sequence_cases.py. */
const cases = JSON.parse(
  readFileSync(new URL('./sequence-cases.json', import.meta.url), 'utf8'),
) as {
  templates: Record<string, string>;
  words: { tokenizer: string; words: string[]; ids: number[]; starts: number[] }[];
};
const tokenizerOf = (name: string) =>
  loadTokenizer(
    fileURLToPath(new URL(`../../../testing/fixtures/models/${name}`, import.meta.url)),
  );
const llama = tokenizerOf('llama');
const END = llama.specialIds.eos!;
const BEGIN = llama.specialIds.bos!;

/** The text that a batch learns to write, and that of all its tokens, sequence by sequence. */
function learned({
  inputIds,
  offsets,
  tokenLabels,
}: TokenBatch): { readonly all: string; readonly counted: string }[] {
  return Array.from(offsets.slice(0, -1), (start, b) => {
    const rows = Array.from({ length: offsets[b + 1]! - start }, (_, t) => start + t);
    const decode = (kept: readonly number[]) =>
      llama.decode(
        kept.map((n) => inputIds[n]!),
        { skipSpecialTokens: false },
      );
    for (const n of rows) if (tokenLabels[n] !== -100) expect(tokenLabels[n]).toBe(inputIds[n]);
    return { all: decode(rows), counted: decode(rows.filter((n) => tokenLabels[n] !== -100)) };
  });
}

describe('prompts and completions', () => {
  it('count the completion and its end only, from the first token that the prompt alone does not have', async () => {
    const data = await completionData(
      [
        { prompt: 'Capital of France? ', completion: 'Paris' },
        { prompt: 'One', completion: ' two' },
      ],
      llama,
      { maxLength: 40 },
    );
    expect(learned(data.pack([1, 0]))).toEqual([
      { all: '<|begin_of_text|>One two<|end_of_text|>', counted: ' two<|end_of_text|>' },
      {
        all: '<|begin_of_text|>Capital of France? Paris<|end_of_text|>',
        counted: ' Paris<|end_of_text|>',
      }, // the space became part of the word
    ]);
    expect([...data.lengths]).toEqual([0, 1].map((row) => data.pack([row]).inputIds.length));
  });

  it('are tokenised as one text, also where a token reaches over the boundary', async () => {
    const gpt2 = tokenizerOf('gpt2');
    const [prompt, completion] = ['the he', 'adphones'];
    const data = await completionData([{ prompt, completion }], gpt2, { maxLength: 40 });
    const { inputIds } = data.pack([0]);
    expect([...inputIds]).toEqual([...gpt2.ids(prompt + completion), gpt2.specialIds.eos]);
  });

  it('that leave no room for the answer are left out; none left is an error', async () => {
    const rows = [
      { prompt: 'A very long question indeed, much longer than that', completion: 'no' },
      { prompt: 'a', completion: 'yes' },
    ];
    const data = await completionData(rows, llama, { maxLength: 8 });
    expect([data.skipped, data.lengths.length]).toEqual([[0], 1]);
    await expect(completionData(rows.slice(0, 1), llama, { maxLength: 8 })).rejects.toMatchObject({
      code: 'PEFT_DATA_INVALID',
    });
  });
});

describe('conversations', () => {
  const tags = createChatTemplate(cases.templates['tags']!, llama);
  const messages: ChatMessage[] = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello!' },
    { role: 'user', content: 'Bye' },
    { role: 'assistant', content: 'Ciao' },
  ];

  it('count each answer with the token that ends it, or the last one only', async () => {
    const all =
      '<|user|>\nHi\n<|assistant|>\nHello!<|end_of_text|>\n<|user|>\nBye\n<|assistant|>\nCiao<|end_of_text|>\n';
    expect(
      learned((await chatData([messages], llama, tags, { maxLength: 200 })).pack([0])),
    ).toEqual([{ all, counted: 'Hello!<|end_of_text|>\nCiao<|end_of_text|>\n' }]);
    expect(
      learned(
        (await chatData([messages], llama, tags, { maxLength: 200, answers: 'last' })).pack([0]),
      ),
    ).toEqual([{ all, counted: 'Ciao<|end_of_text|>\n' }]);
  });

  it('leave out answers of weight 0, which no template sees', async () => {
    const seeing = createChatTemplate(
      '{% for m in messages %}{{ m.weight }}{{ m.role }}:{{ m.content }};{% endfor %}' +
        '{% if add_generation_prompt %}assistant:{% endif %}',
      llama,
    );
    const marked = messages.map((each, i) => (i === 1 ? { ...each, weight: 0 as const } : each));
    const data = await chatData([marked], llama, seeing, { maxLength: 99 });
    expect(learned(data.pack([0]))).toEqual([
      { all: 'user:Hi;assistant:Hello!;user:Bye;assistant:Ciao;', counted: 'Ciao;' },
    ]);
  });

  it('that a template writes otherwise once they go on count the last answer only', async () => {
    const changing = createChatTemplate(
      '{% for m in messages %}{{ m.role }}:{% if loop.last %}(thinks){% endif %}{{ m.content }};{% endfor %}' +
        '{% if add_generation_prompt %}assistant:{% endif %}',
      llama,
    );
    await expect(chatData([messages], llama, changing, { maxLength: 99 })).rejects.toThrow(
      "train on the last answer of each conversation (answers: 'last')",
    );
    const data = await chatData(
      [messages.slice(0, 2)],
      llama,
      createChatTemplate(
        '{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}' +
          '{% if add_generation_prompt %}assistant:{% endif %}',
        llama,
      ),
      { maxLength: 99 },
    );
    expect(learned(data.pack([0]))[0]!.counted).toBe('Hello!;');
  });
});

describe('plain texts', () => {
  const texts = [
    'The headphones sound great.',
    'one',
    'a longer text about kettles, which are sturdy and quiet',
    'x y',
    '',
  ];

  it('fill rows, each token once to be predicted, in sequences of their own', async () => {
    const data = await plainTextData(texts, llama, { maxLength: 16 });
    const batch = data.pack([...data.lengths.keys()]);
    expect(data.skipped).toEqual([4]);
    expect(Math.max(...data.lengths)).toBeLessThanOrEqual(16);
    expect(data.lengths.length).toBeLessThan(batch.offsets.length - 1); // rows hold several
    const predicted = Array.from(batch.tokenLabels)
      .filter((label) => label !== -100)
      .sort((a, b) => a - b);
    expect(predicted).toEqual(
      texts
        .slice(0, 4)
        .flatMap((text) => [...llama.ids(text), END])
        .sort((a, b) => a - b),
    );
    for (const start of batch.offsets.slice(0, -1)) expect(batch.tokenLabels[start]).toBe(-100);
    expect(batch.exampleOffsets.at(-1)).toBe(batch.offsets.length - 1);
  });

  it('without packing make a row per text, long ones one per piece that goes on where the other ended', async () => {
    const data = await plainTextData([texts[2]!], llama, { maxLength: 10, packing: false });
    const { inputIds, offsets } = data.pack([...data.lengths.keys()]);
    const whole = [BEGIN, ...llama.ids(texts[2]!), END];
    const pieces = Array.from(offsets.slice(0, -1), (start, b) => [
      ...inputIds.slice(start, offsets[b + 1]),
    ]);
    expect(pieces.flatMap((piece, i) => (i === 0 ? piece : piece.slice(1)))).toEqual(whole);
    pieces.slice(1).forEach((piece, i) => expect(piece[0]).toBe(pieces[i]!.at(-1)));
  });
});

describe('pairs', () => {
  it('shift the target right behind the start token, and keep the end token of what is cut', async () => {
    const t5 = tokenizerOf('t5');
    const data = await pairData(
      [
        { source: 'a cat', target: 'eine Katze' },
        { source: 'a very long text about this and that', target: 'b' },
      ],
      t5,
      { maxSourceLength: 8, maxTargetLength: 20, startId: 0 },
    );
    const { inputIds, offsets, decoder, tokenLabels } = data.pack([0, 1]);
    expect([...tokenLabels]).toEqual([...t5.encode('eine Katze').ids, ...t5.encode('b').ids]);
    expect([...decoder.inputIds.slice(0, decoder.offsets[1])]).toEqual([
      0,
      ...t5.ids('eine Katze'),
    ]);
    expect([offsets[2]! - offsets[1]!, inputIds.at(-1)]).toEqual([8, 1]);
  });
});

describe('tagged words', () => {
  it.each(cases.words)(
    'of $tokenizer begin at the tokens that `tokenizers` names ($words)',
    async ({ tokenizer, words, ids, starts }) => {
      const data = await wordData([{ words }], tokenizerOf(tokenizer), {
        maxLength: 100,
        tags: ['O'],
      });
      const batch = data.pack([0]);
      expect([...batch.inputIds]).toEqual(ids);
      expect([...batch.words]).toEqual(starts);
    },
  );

  it('label the last token of each word for a decoder', async () => {
    const bert = tokenizerOf('bert');
    const rows = [{ words: ['Kühlschrank', 'one'], tags: ['B-X', 'O'] }];
    const tags = tagsOf(rows);
    const { words, tokenLabels } = (
      await wordData(rows, bert, { maxLength: 100, tags, from: 'last' })
    ).pack([0]);
    const length = bert.ids('Kühlschrank').length;
    expect([...words]).toEqual([length, length + bert.ids('one').length]); // behind [CLS]
    expect([...words].map((n) => tokenLabels[n])).toEqual([1, 0]);
    expect(tokenLabels.filter((label) => label !== -100)).toHaveLength(2);
  });

  it('label the first token of each word, as far as they go', async () => {
    const rows = [
      { words: ['Kühlschrank', 'läuft', 'leise'], tags: ['B-X', 'O', 'I-X'] },
      { words: ['one'], tags: ['O'] },
    ];
    const tags = tagsOf(rows);
    expect(tags).toEqual(['O', 'B-X', 'I-X']);
    const bert = tokenizerOf('bert');
    const batch = (
      await wordData(rows, bert, { maxLength: 2 + bert.ids('Kühlschrank').length + 1, tags })
    ).pack([1, 0]);
    expect(Array.from(batch.tokenLabels).filter((label) => label !== -100)).toEqual([0, 1, 0]);
    expect([...batch.words].map((n) => (n < 0 ? undefined : batch.tokenLabels[n]))).toEqual([
      0,
      1,
      0,
      undefined,
    ]);
    expect([...batch.wordOffsets]).toEqual([0, 1, 4]);
  });

  it('are refused with unknown tags, or another number of them', async () => {
    await expect(
      wordData([{ words: ['a'], tags: ['B-PRE'] }], llama, { maxLength: 9, tags: ['O', 'B-PER'] }),
    ).rejects.toThrow('Did you mean "B-PER"');
    await expect(
      wordData([{ words: ['a', 'b'], tags: ['O'] }], llama, { maxLength: 9, tags: ['O'] }),
    ).rejects.toThrow('row 0 has 2 words and 1 tags');
  });
});

describe('groups of texts', () => {
  it('are rows of as many sequences, and of one size', async () => {
    const data = await textGroupData(
      [
        ['a', 'b c'],
        ['d', 'e'],
      ],
      llama,
      { maxLength: 9 },
    );
    expect([...data.pack([1, 0]).exampleOffsets]).toEqual([0, 2, 4]);
    await expect(textGroupData([['a', 'b'], ['c']], llama, { maxLength: 9 })).rejects.toThrow(
      'group 1 has 1 texts, the first has 2',
    );
  });
});
