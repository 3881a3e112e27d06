/** Conversations for a causal language model: the loss counts the assistant's words only. */
import { check, PeftError, show } from '@peft/errors';
import type { ChatMessage, ChatTemplate, RenderOptions } from '../chat/chat-template.js';
import type { Conversation } from '../chat/read-conversation.js';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import { keepLabelled, labelFrom, sharedLength, type AnswerTokens } from './completion-data.js';
import { eachRow } from './each-row.js';
import type { TokenData } from './token-data.js';

/** How `chatData` renders, cuts and labels conversations. */
export interface ChatOptions {
  /** Tokens of a conversation at most; a longer one loses its end. */
  readonly maxLength: number;
  /** Which of the assistant's turns count. Default `all`. */
  readonly answers?: 'all' | 'last';
  /** Further variables of the template. */
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

/**
 * Each conversation is written by the template and tokenised as one text. An answer is what the
 * text has beyond the turns before it with the template's start of an answer, up to the end of its
 * turn, the token that closes it included; those of weight 0 do not count. Conversations without an answer within `maxLength` are
 * left out.
 *
 * @throws PEFT_CHAT_TEMPLATE; PEFT_CHAT_TURNS where the template rewrites earlier turns, so that
 *   `answers: 'all'` has no meaning; PEFT_DATA_INVALID when no row is left
 */
export async function chatData(
  conversations: readonly (Conversation | readonly ChatMessage[])[],
  tokenizer: TextTokenizer,
  template: ChatTemplate,
  { maxLength, answers = 'all', variables = {}, signal }: ChatOptions,
): Promise<TokenData> {
  check.positiveInteger('data', 'maxLength', maxLength);
  check.oneOf('data', 'answers', answers, ['all', 'last']);
  requireAnswers(conversations);
  const blank: number[] = [];
  const labelled = await eachRow(
    conversations,
    (conversation, row) => {
      const { messages, tools }: Conversation =
        'messages' in conversation ? conversation : { messages: conversation };
      const own = { variables: tools ? { ...variables, tools } : variables };
      const render: ChatTemplate['render'] = (some, options) =>
        rendered(template, row, some, { ...own, ...options });
      const whole = render(messages);
      const ids = tokenizer.ids(whole);
      const turns = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []));
      const learnt = (answers === 'all' ? turns : turns.slice(-1)).filter(
        (i) => messages[i]!.weight !== 0,
      );
      if (learnt.some((i) => isBlank(messages[i]!))) blank.push(row);
      const ranges = learnt.map((i) => {
        const question = render(messages.slice(0, i), { addGenerationPrompt: true });
        const answered = render(messages.slice(0, i + 1));
        if (!whole.startsWith(answered) || !answered.startsWith(question)) throw rewritten(row, i);
        return [
          sharedLength(ids, tokenizer.ids(question)),
          answered.length === whole.length
            ? ids.length
            : sharedLength(ids, tokenizer.ids(answered)),
        ] as const;
      });
      return labelFrom(ids, ranges, maxLength);
    },
    signal,
  );
  return keepLabelled(labelled, { blank });
}

/** @throws PEFT_DATA_INVALID where no conversation has a turn that could be learnt */
function requireAnswers(conversations: readonly (Conversation | readonly ChatMessage[])[]): void {
  const turns = conversations.flatMap((one) => ('messages' in one ? one.messages : one));
  if (turns.some(({ role, weight }) => role === 'assistant' && weight !== 0)) return;
  const roles = [...new Set(turns.map(({ role }) => role))];
  throw new PeftError(
    'PEFT_DATA_INVALID',
    `data: none of the ${conversations.length} conversations has a turn of the assistant to learn ` +
      `from, got the roles ${roles.map(show).join(', ')}.`,
    { hint: 'what is to be learnt has the role assistant, and no weight of 0' },
  );
}

/** Whether a turn consists of a content that is white space alone. */
const isBlank = ({ role: _, content, ...others }: ChatMessage): boolean =>
  (content ?? '').trim() === '' && Object.keys(others).length === 0;

/**
 * Encodes a conversation with what follows it, as one text.
 * @param row named where the template refuses a turn.
 * @throws PEFT_CHAT_TEMPLATE
 */
export function chatAnswerTokens(
  tokenizer: TextTokenizer,
  template: ChatTemplate,
  { messages, tools }: Conversation,
  answer: readonly ChatMessage[],
  row: number,
): AnswerTokens {
  const own = tools ? { variables: { tools } } : {};
  const ids = tokenizer.ids(rendered(template, row, [...messages, ...answer], own));
  const asked = rendered(template, row, messages, { ...own, addGenerationPrompt: true });
  return { ids, start: sharedLength(ids, tokenizer.ids(asked)) };
}

/** Says which row and turn a template refuses. */
function rendered(
  template: ChatTemplate,
  row: number,
  messages: readonly ChatMessage[],
  options: RenderOptions,
): string {
  try {
    return template.render(messages, options);
  } catch (cause) {
    if (!(cause instanceof PeftError)) throw cause;
    const turn = messages.findIndex(
      (_, i) => !accepts(template, messages.slice(0, i + 1), options),
    );
    throw new PeftError(
      cause.code,
      `${cause.message} (row ${row}${turn < 0 ? '' : `, turn ${turn}: ${messages[turn]!.role}`})`,
      { cause },
    );
  }
}

function accepts(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: RenderOptions,
): boolean {
  try {
    template.render(messages, options);
    return true;
  } catch {
    return false;
  }
}

const rewritten = (row: number, turn: number): PeftError =>
  new PeftError(
    'PEFT_CHAT_TURNS',
    `data: conversation ${row}: the chat template writes turn ${turn} otherwise when others follow it,` +
      ' or does not begin an answer as it says it does.',
    {
      hint: "train on the last answer of each conversation (answers: 'last'), and give each answer a row of its own",
    },
  );
