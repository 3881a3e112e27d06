import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ComponentJson, TokenizerJson } from '../tokenizer/tokenizer-json.js';
import { createTextTokenizer } from '../tokenizer/text-tokenizer.js';
import { createChatTemplate } from './chat-template.js';
import { CHAT_TEMPLATES, chatTemplateSource } from './named-templates.js';
import { turnEndIds, turnEndText } from './turn-end.js';

const MARKERS = ['<|im_end|>', '<|eot_id|>', '<end_of_turn>', '</s>', '<s>'];
const MODELS = new URL('../../../testing/fixtures/models/', import.meta.url);

/** GPT-2's fixture with the markers as special tokens. */
function tokenizer(markers: readonly string[]) {
  const path = fileURLToPath(new URL('gpt2/tokenizer.json', MODELS));
  const json = JSON.parse(readFileSync(path, 'utf8')) as TokenizerJson & { model: ComponentJson };
  const added = markers.map((content, i) => ({ id: 5000 + i, content, special: true }));
  return createTextTokenizer(
    { ...json, added_tokens: [...(json.added_tokens ?? []), ...added] },
    { eos: '</s>', bos: '<s>' },
  );
}

const turns = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello' },
  { role: 'user', content: 'Bye' },
];

describe('named chat templates', () => {
  const full = tokenizer(MARKERS);

  // Written down from the formats' own descriptions.
  it.each([
    [
      'chatml',
      '<|im_start|>system\n' +
        'Be brief.<|im_end|>\n' +
        '<|im_start|>user\n' +
        'Hi<|im_end|>\n' +
        '<|im_start|>assistant\n' +
        'Hello<|im_end|>\n' +
        '<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n',
    ],
    [
      'llama3',
      '<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>' +
        '<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>' +
        '<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\n',
    ],
    [
      'gemma',
      '<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n' +
        '<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n',
    ],
    ['mistral', '<s>[INST] Be brief.\n\nHi [/INST] Hello</s>[INST] Bye [/INST]'],
    [
      'alpaca',
      '<s>Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello</s>\n\n### Instruction:\nBye\n\n### Response:\n',
    ],
  ])('write conversations: %s', (name, text) =>
    expect(
      createChatTemplate(chatTemplateSource(name), full).render(turns, {
        addGenerationPrompt: true,
      }),
    ).toBe(text),
  );

  it.each(Object.keys(CHAT_TEMPLATES))('write calls of tools without a content: %s', (name) => {
    const text = createChatTemplate(chatTemplateSource(name), full).render([
      { role: 'user', content: 'Weather?' },
      { role: 'assistant', content: null, tool_calls: [{ function: { name: 'weather' } }] },
    ]);
    if (name !== 'alpaca') expect(text).toContain('<tool_call>{"name": "weather"}</tool_call>');
    expect(text).not.toContain('null');
  });

  it('are named when another is asked for', () =>
    expect(() => chatTemplateSource('chatlm')).toThrow('Did you mean "chatml"'));

  it.each([
    ['chatml', '<|im_end|>'],
    ['llama3', '<|eot_id|>'],
    ['gemma', '<end_of_turn>'],
    ['mistral', '</s>'],
    ['alpaca', '</s>'],
  ])('say which token ends an answer: %s', (name, token) => {
    const template = createChatTemplate(chatTemplateSource(name), full);
    expect(turnEndIds(template, full)).toEqual([full.tokenToId(token)]);
    expect(turnEndText(template, full)).toBeUndefined();
  });

  it('name a turn end that the tokenizer has no token for', () => {
    const bare = tokenizer([]);
    const template = createChatTemplate(chatTemplateSource('chatml'), bare);
    expect(turnEndIds(template, bare)).toEqual([]);
    expect(turnEndText(template, bare)).toBe('<|im_end|>');
  });
});
