/** Conversations as text, by the Jinja template that a checkpoint brings along. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { didYouMean, PeftError, show, withinTime } from '@peft/errors';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';

/** Time for reading a template, and for rendering one conversation; each takes milliseconds. */
const LIMIT_MS = 2000;

/**
 * One turn. Templates know the roles `system`, `user` and `assistant`, some of them also `tool` and
 * further fields.
 */
export interface ChatMessage {
  readonly role: string;
  /** null where a turn has nothing to say, since it calls tools. */
  readonly content: string | null;
  /** 0: a turn of the assistant that is not learnt. No template sees it. */
  readonly weight?: 0;
  readonly [field: string]: unknown;
}

/** How a conversation is rendered, beyond its messages. */
export interface RenderOptions {
  /** End with what an answer begins with, for the model to go on. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables of the template (`tools`, `enable_thinking` …). */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** A compiled chat template of one checkpoint, bound to the special tokens of its tokenizer. */
export interface ChatTemplate {
  /** The Jinja text. */
  readonly source: string;
  /**
   * @throws PEFT_CHAT_TEMPLATE when the template refuses the messages, fails, or takes over 2 s
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
}

/**
 * Compiles the Jinja text of a chat template.
 * @param source the Jinja text.
 * @param tokenizer whose special tokens the template may name (`bos_token` …).
 * @throws PEFT_CHAT_TEMPLATE when it is no Jinja
 */
export function createChatTemplate(
  source: string,
  tokenizer: Pick<TextTokenizer, 'specialIds' | 'idToToken'>,
): ChatTemplate {
  const template = attempt('the chat template cannot be read', () => new Template(source));
  const special = Object.fromEntries(
    Object.entries(tokenizer.specialIds).map(([name, id]) => [
      `${name}_token`,
      tokenizer.idToToken(id) ?? '',
    ]),
  );
  return Object.freeze<ChatTemplate>({
    source,
    render: (messages, { addGenerationPrompt = false, variables = {} } = {}) =>
      attempt('the chat template refuses the conversation', () =>
        template.render({
          ...special,
          ...variables,
          messages: messages.map(({ weight: _, ...message }) => message),
          add_generation_prompt: addGenerationPrompt,
        }),
      ),
  });
}

/**
 * The chat template of a checkpoint folder: `chat_template.jinja`, else the one in
 * `tokenizer_config.json` or `chat_template.json`.
 * @param name which one, where it has several. Default `default`.
 * @throws PEFT_CHAT_TEMPLATE_MISSING, PEFT_CHAT_TEMPLATE
 */
export function loadChatTemplate(
  folder: string,
  tokenizer: Pick<TextTokenizer, 'specialIds' | 'idToToken'>,
  name = 'default',
): ChatTemplate {
  const file = join(
    folder,
    name === 'default' ? 'chat_template.jinja' : join('additional_chat_templates', `${name}.jinja`),
  );
  if (/^[\w-]+$/.test(name) && existsSync(file))
    return createChatTemplate(readFileSync(file, 'utf8'), tokenizer);
  const named =
    ['tokenizer_config.json', 'chat_template.json']
      .map((path) => templatesOf(join(folder, path)))
      .find((templates) => templates.size > 0) ?? new Map<string, string>();
  const source = named.get(name);
  if (source === undefined) {
    throw new PeftError(
      'PEFT_CHAT_TEMPLATE_MISSING',
      named.size
        ? `data: ${folder} has no chat template ${show(name)}.`
        : `data: ${folder} has no chat template.`,
      {
        hint: named.size
          ? `${didYouMean(name, named.keys())} It has: ${[...named.keys()].join(', ')}.`.trim()
          : 'a model that was not trained to chat has none: name one, data.chat_template=chatml' +
            ' (CLI: --chat-template chatml), or use prompts and completions',
      },
    );
  }
  return createChatTemplate(source, tokenizer);
}

/** By name; a single one is `default`. */
function templatesOf(path: string): Map<string, string> {
  if (!existsSync(path)) return new Map();
  const { chat_template: given } =
    attempt(
      `${path} is not valid JSON`,
      () => JSON.parse(readFileSync(path, 'utf8')) as { chat_template?: unknown } | null,
    ) ?? {};
  if (typeof given === 'string') return new Map([['default', given]]);
  if (!Array.isArray(given)) return new Map();
  return new Map(
    (given as { name?: unknown; template?: unknown }[]).flatMap((entry) =>
      typeof entry?.name === 'string' && typeof entry.template === 'string'
        ? [[entry.name, entry.template] as const]
        : [],
    ),
  );
}

/** Runs what a stranger may have written to take for ever. */
function attempt<T>(what: string, run: () => T): T {
  const tooSlow = () => new Error(`it takes over ${LIMIT_MS} ms`);
  try {
    return withinTime(LIMIT_MS, run, tooSlow);
  } catch (cause) {
    throw new PeftError('PEFT_CHAT_TEMPLATE', `data: ${what}: ${(cause as Error).message}`, {
      cause,
    });
  }
}
