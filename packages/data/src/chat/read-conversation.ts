/**
 * Conversations in the shapes that data sets have: `{ role, content }` as OpenAI and Hugging Face
 * write them, `{ from, value }` as ShareGPT does, and Alpaca's instruction, input and output.
 */
import { PeftError, show } from '@peft/errors';
import { parsePython } from '../columns/parse-python.js';
import type { ChatMessage } from './chat-template.js';

/** A conversation with what its template is told beside the messages. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** Tools that the assistant may call, as JSON Schema. */
  readonly tools?: readonly unknown[];
}

/** The roles that templates know. */
export const KNOWN_ROLES: readonly string[] = [
  'system',
  'developer',
  'user',
  'assistant',
  'tool',
  'ipython',
];
/** Names of roles in data sets, and what templates call them. */
const ROLES: Readonly<Record<string, string>> = {
  human: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bot: 'assistant',
  chatbot: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  ai: 'assistant',
  model: 'assistant',
  function_call: 'assistant',
  observation: 'tool',
  function_response: 'tool',
  function: 'tool',
};

/** What an assistant may do without saying anything. */
const WITHOUT_CONTENT = ['tool_calls', 'reasoning_content', 'thinking'];

/**
 * The messages of a cell: a list, or JSON or Python's text of one. Roles of ShareGPT get the names
 * that templates know, in small letters; a null content stays (an assistant that calls tools says
 * nothing); a content of parts becomes the text of its parts; other fields that are null, as Parquet
 * fills them in, go; OpenAI's `function_call` becomes one of `tool_calls`. `weight` of 0 (OpenAI's) or
 * `train: false` becomes `weight: 0`: such a turn of the assistant is not learnt.
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

/** Whether a text spells a list of messages, as JSON or as Python's. */
export function spellsConversation(text: string): boolean {
  if (!/^\s*\[\s*\{/.test(text)) return false;
  const list = parsed(text);
  return (
    Array.isArray(list) &&
    list.every((item) => item instanceof Object && ('role' in item || 'from' in item))
  );
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
  const {
    role: named,
    from,
    content: said,
    value,
    weight,
    train,
    function_call: called,
    ...rest
  } = item as Record<string, unknown>;
  const role = roleOf(named ?? from, item, place);
  const others = Object.fromEntries(
    Object.entries({ ...rest, ...calls(called, rest['tool_calls'], place) }).flatMap(
      ([name, field]) =>
        field === null || field === undefined ? [] : [[name, withoutNulls(field)]],
    ),
  );
  const content = contentOf(said ?? value, place);
  if (content === null && !WITHOUT_CONTENT.some((name) => name in others))
    throw invalid(
      `${place} (${role}) has neither content nor tool calls, got the keys ` +
        `${Object.keys(item).map(show).join(', ')}.`,
      'give it a text as content, or remove it',
    );
  const isLeftOut = [weight, train].some((mark) => notLearnt(mark ?? undefined, role, place));
  return { role, content, ...others, ...(isLeftOut ? { weight: 0 } : {}) };
}

/** OpenAI's `function_call`, which `tool_calls` have followed, as one of those. */
function calls(called: unknown, toolCalls: unknown, place: string): { tool_calls?: unknown } {
  if (called === null || called === undefined) return {};
  if (toolCalls !== null && toolCalls !== undefined)
    throw invalid(`${place} has function_call and tool_calls.`, 'leave out function_call');
  if (typeof called !== 'object' || typeof (called as { name?: unknown }).name !== 'string')
    throw invalid(
      `the function_call of ${place} must name a function, got ${show(called)}.`,
      '{"name": "…", "arguments": "{…}"}',
    );
  return { tool_calls: [{ type: 'function', function: called }] };
}

function roleOf(given: unknown, item: object, place: string): string {
  if (typeof given !== 'string' || given.trim() === '')
    throw invalid(
      `${place} has no role, got the keys ${Object.keys(item).map(show).join(', ')}.`,
      '{"role": "user", "content": "…"}, or ShareGPT\'s {"from": "human", "value": "…"}',
    );
  const plain = given.trim().toLowerCase();
  const role = ROLES[plain] ?? plain;
  return KNOWN_ROLES.includes(role) ? role : given; // the template decides
}

/** Whether a turn of the assistant is marked as one that is not learnt. */
function notLearnt(mark: unknown, role: string, place: string): boolean {
  if (mark === undefined) return false;
  if (![0, 1, true, false].includes(mark as number))
    throw invalid(
      `weight or train of ${place} must be 0 or 1, true or false, got ${show(mark)}.`,
      'weight: 0 or train: false keeps a turn of the assistant from being learnt',
    );
  const isLearnt = Boolean(mark);
  if (isLearnt && role !== 'assistant')
    throw invalid(
      `${place} (${role}) is marked to be learnt.`,
      'only turns of the assistant are learnt; give the others weight 0, or none',
    );
  return role === 'assistant' && !isLearnt;
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
    return parsePython(text);
  }
}

const invalid = (message: string, hint: string): PeftError =>
  new PeftError('PEFT_DATA_INVALID', `data: ${message}`, { hint });
