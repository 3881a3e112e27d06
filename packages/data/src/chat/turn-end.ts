/** The token by which a chat template ends what the assistant says. */
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import type { ChatTemplate } from './chat-template.js';

const QUESTION = 'question';
const ANSWER = 'answer';

/**
 * Found by rendering a question with its answer: the special token that follows the answer directly,
 * such as `<|im_end|>`, `<|eot_id|>` or `<end_of_turn>`.
 *
 * @returns its id; none where the template refuses such a conversation, or closes an answer by
 *   plain text.
 */
export function turnEndIds(
  template: ChatTemplate,
  tokenizer: Pick<TextTokenizer, 'ids' | 'allSpecialIds'>,
): readonly number[] {
  const closing = closingOf(template);
  if (closing === undefined) return [];
  const [first] = tokenizer.ids(closing.trimStart());
  return first !== undefined && tokenizer.allSpecialIds.has(first) ? [first] : [];
}

/** The marker at the end of an answer where the tokenizer has no token of its own for it. */
export function turnEndText(
  template: ChatTemplate,
  tokenizer: Pick<TextTokenizer, 'ids' | 'allSpecialIds'>,
): string | undefined {
  const marker = closingOf(template)
    ?.trim()
    .match(/^<[^<>\s]+>/)?.[0];
  return marker !== undefined && turnEndIds(template, tokenizer).length === 0 ? marker : undefined;
}

/** What the template writes behind an answer. */
function closingOf(template: ChatTemplate): string | undefined {
  try {
    const text = template.render([
      { role: 'user', content: QUESTION },
      { role: 'assistant', content: ANSWER },
    ]);
    const at = text.lastIndexOf(ANSWER);
    return at < 0 ? undefined : text.slice(at + ANSWER.length);
  } catch {
    return undefined; // a template of another kind of conversation
  }
}
