/** Conversations for a causal language model: the loss counts the assistant's words only. */
import { check, PeftError } from '@peft/errors';
import type { ChatMessage, ChatTemplate } from '../chat/chat-template.js';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import { keepLabelled, labelFrom, sharedLength } from './completion-data.js';
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
 * turn, the token that closes it included. Conversations without an answer within `maxLength` are
 * left out.
 *
 * @throws PEFT_CHAT_TEMPLATE; PEFT_CHAT_TURNS where the template rewrites earlier turns, so that
 *   `answers: 'all'` has no meaning; PEFT_DATA_INVALID when no row is left
 */
export async function chatData(
  conversations: readonly (readonly ChatMessage[])[],
  tokenizer: TextTokenizer,
  template: ChatTemplate,
  { maxLength, answers = 'all', variables = {}, signal }: ChatOptions,
): Promise<TokenData> {
  check.positiveInteger('data', 'maxLength', maxLength);
  check.oneOf('data', 'answers', answers, ['all', 'last']);
  return keepLabelled(
    await eachRow(
      conversations,
      (messages, row) => {
        const whole = template.render(messages, { variables });
        const ids = tokenizer.ids(whole);
        const turns = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []));
        const ranges = (answers === 'all' ? turns : turns.slice(-1)).map((i) => {
          const question = template.render(messages.slice(0, i), {
            addGenerationPrompt: true,
            variables,
          });
          const answered = template.render(messages.slice(0, i + 1), { variables });
          if (!whole.startsWith(answered) || !answered.startsWith(question))
            throw rewritten(row, i);
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
    ),
  );
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
