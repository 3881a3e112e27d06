import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadTokenizer } from '../tokenizer/load-tokenizer.js';
import { createChatTemplate, loadChatTemplate, type ChatMessage } from './chat-template.js';

/** Made by transformers' apply_chat_template: tools/cases/make_sequence_cases.py. */
const { templates, chats } = JSON.parse(
  readFileSync(new URL('../sequences/sequence-cases.json', import.meta.url), 'utf8'),
) as {
  templates: Record<string, string>;
  chats: {
    template: string;
    messages: ChatMessage[];
    addGenerationPrompt: boolean;
    variables: Record<string, unknown>;
    text: string;
  }[];
};
const tokenizer = loadTokenizer(
  fileURLToPath(new URL('../../../testing/fixtures/models/llama', import.meta.url)),
);

describe('a chat template', () => {
  it.each(chats)(
    'writes what transformers writes ($template, $messages.length turns, $addGenerationPrompt)',
    ({ template, messages, addGenerationPrompt, variables, text }) => {
      expect(
        createChatTemplate(templates[template]!, tokenizer).render(messages, {
          addGenerationPrompt,
          variables,
        }),
      ).toBe(text);
    },
  );

  it('says why it refuses a conversation', () => {
    const turns = [{ role: 'assistant', content: 'Hi' }];
    expect(() => createChatTemplate(templates['brackets']!, tokenizer).render(turns)).toThrow(
      'data: the chat template refuses the conversation: turns must alternate',
    );
    expect(() => createChatTemplate('{% if %}', tokenizer)).toThrow(
      'data: the chat template cannot be read: ',
    );
  });

  it('is found in chat_template.jinja, else in tokenizer_config.json, by name where there are several', () => {
    const folder = mkdtempSync(join(tmpdir(), 'peft-chat-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const text = (name?: string) =>
      loadChatTemplate(folder, tokenizer, name).render([{ role: 'user', content: 'x' }]);
    expect(() => text()).toThrow(
      `data: ${folder} has no chat template.\n  hint: a model that was not trained to chat has none: name one,`,
    );
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({
        chat_template: [
          { name: 'default', template: 'plain {{ messages[0].content }}' },
          { name: 'tool_use', template: 'tools' },
        ],
      }),
    );
    expect([text(), text('tool_use')]).toEqual(['plain x', 'tools']);
    expect(() => text('tools')).toThrow('Did you mean "tool_use"');
    writeFileSync(join(folder, 'chat_template.jinja'), 'own {{ bos_token }}');
    mkdirSync(join(folder, 'additional_chat_templates'));
    writeFileSync(join(folder, 'additional_chat_templates', 'short.jinja'), 'short');
    expect([text(), text('short')]).toEqual(['own <|begin_of_text|>', 'short']);
  });
});
