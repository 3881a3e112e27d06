/**
 * Conversations in the shapes that data sets have: `{ role, content }` as OpenAI and Hugging Face
 * write them, `{ from, value }` as ShareGPT does, and Alpaca's instruction, input and output.
 */
import { PeftError, show } from '@peft/errors';
import type { ChatMessage } from './chat-template.js';

/** A conversation with what its template is told beside the messages. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** Tools that the assistant may call, as JSON Schema. */
  readonly tools?: readonly unknown[];
}

/** Names of roles in data sets, and what templates call them. */
const ROLES: Readonly<Record<string, string>> = {
  human: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bot: 'assistant',
  bard: 'assistant',
  ai: 'assistant',
  model: 'assistant',
  function_call: 'assistant',
  observation: 'tool',
  function_response: 'tool',
};

/**
 * The messages of a cell: a list, or JSON in a text. Roles of ShareGPT get the names that templates
 * know; a null content stays (an assistant that calls tools says nothing); a content of parts
 * becomes the text of its parts; other fields that are null, as Parquet fills them in, go.
 *
 * @param place names the row in messages.
 * @throws PEFT_DATA_INVALID naming row and turn
 */
export function readConversation(cell: unknown, place: string): ChatMessage[] {
  const list = typeof cell === 'string' ? parsed(cell) : cell;
  if (!Array.isArray(list) || list.length === 0)
    throw invalid(
      `${place} must have a conversation, got ${show(cell)}.`,
      'a list of {"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}',
    );
  return list.map((item, turn) => readMessage(item, `turn ${turn} of ${place}`));
}

/**
 * The tools of a cell: a list, or JSON in a text; undefined for a missing one.
 * @throws PEFT_DATA_INVALID
 */
export function readTools(cell: unknown, place: string): readonly unknown[] | undefined {
  if (cell === null || cell === undefined || cell === '') return undefined;
  const list = typeof cell === 'string' ? parsed(cell) : cell;
  if (!Array.isArray(list))
    throw invalid(
      `${place} must have a list of tools, got ${show(cell)}.`,
      'a list of {"type": "function", "function": {"name": "…", "parameters": …}}',
    );
  return list.length > 0 ? (withoutNulls(list) as unknown[]) : undefined;
}

/** Alpaca's row as a conversation: the input follows the instruction after a blank line. */
export function instructionConversation(row: {
  readonly instruction: string;
  readonly input?: string;
  readonly output?: string;
  readonly system?: string;
}): ChatMessage[] {
  const { instruction, input = '', output, system = '' } = row;
  return [
    ...(system === '' ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: input.trim() === '' ? instruction : `${instruction}\n\n${input}` },
    ...(output === undefined ? [] : [{ role: 'assistant', content: output }]),
  ];
}

function readMessage(item: unknown, place: string): ChatMessage {
  if (typeof item !== 'object' || item === null || Array.isArray(item))
    throw invalid(
      `${place} must be a message, got ${show(item)}.`,
      '{"role": "user", "content": "…"}',
    );
  const { role: named, from, content: said, value, ...rest } = item as Record<string, unknown>;
  const given = named ?? from;
  if (typeof given !== 'string' || given === '')
    throw invalid(
      `${place} has no role, got the keys ${Object.keys(item).map(show).join(', ')}.`,
      '{"role": "user", "content": "…"}, or ShareGPT\'s {"from": "human", "value": "…"}',
    );
  const others = Object.fromEntries(
    Object.entries(rest).flatMap(([name, field]) =>
      field === null || field === undefined ? [] : [[name, withoutNulls(field)]],
    ),
  );
  const content = contentOf(said ?? value, place);
  if (content === null && Object.keys(others).length === 0)
    throw invalid(
      `${place} (${given}) has neither content nor tool calls.`,
      'give it a text, or remove it',
    );
  return { role: ROLES[given.toLowerCase()] ?? given, content, ...others };
}

function contentOf(content: unknown, place: string): string | null {
  if (content === null || content === undefined) return null;
  if (typeof content === 'string') return content;
  if (typeof content === 'number' || typeof content === 'boolean') return String(content);
  if (!Array.isArray(content))
    throw invalid(`the content of ${place} must be a text, got ${show(content)}.`, 'write a text');
  return content
    .map((part: unknown) => {
      if (typeof part === 'string') return part;
      const { type = 'text', text } = (part ?? {}) as { type?: unknown; text?: unknown };
      if (type === 'text' && typeof text === 'string') return text;
      throw invalid(
        `the content of ${place} has a part of type ${show(type)}; only texts can be read.`,
        'remove parts that are no text (images, audio), or use a model that reads them',
      );
    })
    .join('');
}

/** Fields that Parquet fills in with null where other rows have them. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, field]) =>
      field === null || field === undefined ? [] : [[name, withoutNulls(field)]],
    ),
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const invalid = (message: string, hint: string): PeftError =>
  new PeftError('PEFT_DATA_INVALID', `data: ${message}`, { hint });
