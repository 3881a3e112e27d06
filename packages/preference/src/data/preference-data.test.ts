import { fileURLToPath } from 'node:url';
import { createChatTemplate, loadTokenizer } from '@peft/data';
import { describe, expect, it } from 'vitest';
import type { Truncation } from './answer-encoder.js';
import { preferenceData } from './preference-data.js';
import { unpairedData } from './unpaired-data.js';
import { readUnpaired, type UnpairedRow } from './unpaired-rows.js';
import { readPreference, type PreferenceRow } from './preference-rows.js';

const tokenizer = loadTokenizer(
  fileURLToPath(new URL('../../../testing/fixtures/models/llama', import.meta.url)),
);
const made = (rows: readonly PreferenceRow[], maxLength = 64, truncation?: Truncation) =>
  preferenceData(rows, {
    tokenizer,
    template: () => createChatTemplate('{{ messages[0].content }}', tokenizer),
    maxLength,
    truncation,
  });
const user = { role: 'user', content: 'What is 2 + 2?' };
const says = (content: string) => ({ role: 'assistant', content });

describe('readPreference', () => {
  it('takes texts, messages, and messages as JSON in a text', () => {
    expect(readPreference({ prompt: 'a', chosen: 'b', rejected: 'c' }, 'row 0')).toEqual({
      prompt: 'a',
      chosen: 'b',
      rejected: 'c',
    });
    const row = readPreference(
      {
        prompt: JSON.stringify([user]),
        chosen: [{ from: 'gpt', value: '4' }],
        rejected: [says('5')],
      },
      'row 0',
    );
    expect(row).toEqual({ prompt: [user], chosen: [says('4')], rejected: [says('5')] });
    const written = "[{'role': 'assistant', 'content': \"it's\"}]"; // as pandas does
    expect(
      readPreference({ prompt: [user], chosen: written, rejected: [says('5')] }, 'row 0').chosen,
    ).toEqual([says("it's")]);
  });

  it('refuses answers with turns that are marked as not learnt', () => {
    const marked = { ...says('4'), weight: 0 };
    const refused = 'an answer of row 0 has a turn that is marked as not learnt';
    const rejected = [says('5')];
    expect(() => readPreference({ prompt: [user], chosen: [marked], rejected }, 'row 0')).toThrow(
      refused,
    );
    expect(() =>
      readPreference({ chosen: [user, marked], rejected: [user, ...rejected] }, 'row 0'),
    ).toThrow(refused);
    expect(() =>
      readUnpaired(
        { prompt: [user], completion: [marked], label: true, tools: undefined },
        'row 0',
      ),
    ).toThrow(refused);
    expect(
      readPreference({ prompt: [user, marked, user], chosen: rejected, rejected }, 'row 0').prompt,
    ).toHaveLength(3);
  });

  it('finds the prompt that both begin with, as TRL does', () => {
    expect(
      readPreference({ chosen: [user, says('4')], rejected: [user, says('5')] }, 'row 0'),
    ).toEqual({ prompt: [user], chosen: [says('4')], rejected: [says('5')] });
    // trl.data_utils.extract_prompt of these
    expect(
      readPreference({ chosen: 'The sky is blue', rejected: 'The sky is green' }, 'row 0'),
    ).toEqual({ prompt: 'The sky is', chosen: ' blue', rejected: ' green' });
    expect(readPreference({ chosen: 'ab', rejected: 'abc' }, 'row 0')).toEqual({
      prompt: 'a',
      chosen: 'b',
      rejected: 'bc',
    });
  });

  it.each([
    ['prompts that differ', [user, says('4')], [{ role: 'user', content: 'Why?' }, says('5')]],
    ['questions that go on otherwise', [user, says('4'), user], [user, says('4'), says('5')]],
    ['texts that share nothing', 'yes', 'no'],
    ['a text and messages', 'yes', [user, says('no')]],
  ])('refuses %s', (_, chosen, rejected) => {
    expect(() => readPreference({ chosen, rejected }, 'row 7 of pairs.jsonl')).toThrow(
      expect.objectContaining({
        code: 'PEFT_PREFERENCE_PROMPT',
        message: expect.stringContaining('row 7 of pairs.jsonl') as string,
      }),
    );
  });

  it('names the cell that is empty', () => {
    expect(() => readPreference({ prompt: 'a', chosen: 'b', rejected: null }, 'row 3')).toThrow(
      'preference: the rejected answer of row 3 is empty.',
    );
  });
});

describe('preferenceData', () => {
  const row: PreferenceRow = { prompt: 'Name a fruit.', chosen: ' An apple.', rejected: ' Stone.' };

  it('leaves out equal and empty answers, and counts them', async () => {
    const { warnings, skipped, sources, lengths } = await made([
      { ...row, rejected: row.chosen },
      row,
      { ...row, chosen: '  ' },
      { ...row, rejected: row.chosen },
    ]);
    expect(warnings.map(({ code, message }) => `${code}: ${message}`)).toEqual([
      'PEFT_PREFERENCE_EQUAL: 2 of 4 rows prefer an answer to itself: chosen equals rejected (rows 0, 3); they are left out.',
      'PEFT_PREFERENCE_EMPTY: 1 of 4 rows have an answer without a text (rows 2); they are left out.',
    ]);
    expect([skipped, [...sources], lengths.length]).toEqual([[0, 2, 3], [1], 1]);
  });

  it('keep_start leaves out a pair whose prompt fills the length, keep_end keeps its answers', async () => {
    const long = { ...row, prompt: 'Name a fruit. '.repeat(9) };
    const start = await made([row, long], 24);
    expect([start.skipped, start.cut]).toEqual([[1], [1]]);
    const end = (await made([long], 24, 'keep_end')).pack([0]);
    expect([...end.offsets]).toEqual([0, 24, 48]);
    expect(end.tokenLabels[23]).toBe(tokenizer.specialIds.eos);
    expect(end.tokenLabels[0]).toBe(-100);
  });

  it('refuses data of which nothing can be learnt', async () => {
    await expect(made([{ ...row, chosen: '' }, row], 3)).rejects.toMatchObject({
      code: 'PEFT_DATA_INVALID',
    });
  });
});

describe('unpairedData', () => {
  const rowsOf = (...labels: unknown[]) =>
    labels.map((label, r) =>
      readUnpaired({ prompt: 'Name a fruit.', completion: ' An apple.', label }, `row ${r}`),
    );
  const tokens = (rows: readonly UnpairedRow[]) =>
    unpairedData(rows, {
      tokenizer,
      template: () => createChatTemplate('', tokenizer),
      maxLength: 64,
    });

  it('reads labels as values and as texts', async () => {
    expect([...(await tokens(rowsOf(true, 0, '1', 'False'))).desirable]).toEqual([1, 0, 1, 0]);
    expect(() => rowsOf('maybe')).toThrow(
      expect.objectContaining({ code: 'PEFT_PREFERENCE_LABELS' }),
    );
  });

  it('refuses rows of one kind', async () => {
    await expect(tokens(rowsOf(1, 1))).rejects.toMatchObject({
      code: 'PEFT_PREFERENCE_LABELS',
      message: expect.stringContaining('all 2 answers are desirable') as string,
    });
  });
});
