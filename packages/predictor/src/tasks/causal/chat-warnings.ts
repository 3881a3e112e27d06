/** What a chat template makes of conversations otherwise than their writer may think. */
import {
  KNOWN_ROLES,
  turnEndText,
  type ChatMessage,
  type ChatTemplate,
  type Conversation,
} from '@peft/data';
import { show } from '@peft/errors';
import type { ColumnRoles } from '../column-roles.js';
import type { DataTools } from '../predictor-task.js';

/** Conversations that are rendered to find out whether a key of theirs is written. */
const TRIED = 3;
/** Keys that the template reads otherwise, or that only link a tool's answer to its call. */
const READ_ELSEWHERE = ['role', 'content', 'weight', 'tool_call_id'];

/** Warns of a template's gaps: tools, keys of messages, roles, and a turn's end that is no token. */
export function warnOfTemplate(
  template: ChatTemplate,
  conversations: readonly Conversation[],
  columns: ColumnRoles,
  { base: { tokenizer }, warn }: DataTools,
): void {
  if (!warn) return;
  const tools = columns['tools'];
  if (tools !== undefined && !/\btools\b/.test(template.source))
    warn({
      code: 'PEFT_CHAT_TOOLS',
      message: `the chat template does not write tools, so that the column ${show(tools)} is not used.`,
      hint: 'use a model whose template knows tools, or name one: data.chat_template=chatml',
    });
  for (const key of unwrittenKeys(template, conversations))
    warn({
      code: 'PEFT_CHAT_KEY_UNUSED',
      message: `the chat template does not write ${show(key)} of messages, so that it is not used.`,
      hint: 'use a model whose template writes it, put it into the content, or remove it',
    });
  const roles = unknownRoles(conversations);
  if (roles.length > 0)
    warn({
      code: 'PEFT_CHAT_ROLE_UNKNOWN',
      message: `turns of ${roles.map(show).join(', ')} are written as the chat template does, and never learnt.`,
      hint: 'the roles are system, user, assistant and tool; what is learnt is of the assistant',
    });
  const marker = turnEndText(template, tokenizer);
  if (marker !== undefined)
    warn({
      code: 'PEFT_CHAT_TURN_END',
      message:
        `the tokenizer has no special token ${marker}, by which the chat template ends a ` +
        'turn: it is written in pieces and does not end generation.',
      hint: `add it to the tokenizer, or generate with stop strings (CLI: --stop "${marker}")`,
    });
}

/** Keys of messages without which the template writes the same text; not those of a tool's answer. */
export function unwrittenKeys(
  template: ChatTemplate,
  conversations: readonly Conversation[],
): string[] {
  const having = new Map<string, Conversation[]>();
  for (const conversation of conversations)
    for (const key of new Set(conversation.messages.flatMap(ownKeys))) {
      const some = having.get(key) ?? [];
      if (some.length < TRIED) having.set(key, [...some, conversation]);
    }
  return [...having]
    .filter(([key, some]) => some.every((one) => !isWritten(template, one, key)))
    .map(([key]) => key);
}

const ownKeys = (message: ChatMessage): string[] =>
  message.role === 'tool'
    ? []
    : Object.keys(message).filter((key) => !READ_ELSEWHERE.includes(key));

/** Whether the text is another one without the key; a refused conversation is told of elsewhere. */
function isWritten(
  template: ChatTemplate,
  { messages, tools }: Conversation,
  key: string,
): boolean {
  const options = { variables: tools ? { tools } : {} };
  try {
    return (
      template.render(messages, options) !==
      template.render(
        messages.map(({ [key]: _, ...message }) => message as ChatMessage),
        options,
      )
    );
  } catch {
    return true;
  }
}

const unknownRoles = (conversations: readonly Conversation[]): string[] => [
  ...new Set(
    conversations.flatMap(({ messages }) =>
      messages.map(({ role }) => role).filter((role) => !KNOWN_ROLES.includes(role)),
    ),
  ),
];
