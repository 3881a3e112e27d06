/** Prompts with their answers as tokens, and how they are cut. */
import {
  chatAnswerTokens,
  completionEncoder,
  NO_LABEL,
  type AnswerTokens,
  type ChatTemplate,
  type LabelledTokens,
  type TextTokenizer,
} from '@peft/data';
import { check } from '@peft/errors';
import type { Content } from './preference-rows.js';

/** Which end of a prompt with its answer stays. */
export const TRUNCATIONS = Object.freeze(['keep_start', 'keep_end'] as const);
/** One of {@link TRUNCATIONS}. */
export type Truncation = (typeof TRUNCATIONS)[number];

/** How answers become tokens. */
export interface AnswerOptions {
  readonly tokenizer: TextTokenizer;
  /** Writes messages; called for when a row holds some. */
  readonly template: () => ChatTemplate;
  /** Tokens of a prompt with its answer at most. */
  readonly maxLength: number;
  /** Which of its tokens a longer one keeps. Default `keep_start`. */
  readonly truncation?: Truncation | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A prompt and an answer to it. */
export interface AnswerRow {
  readonly prompt: Content;
  readonly answer: Content;
  readonly tools?: readonly unknown[] | undefined;
}

/** Encodes prompt and answer as one text; a text is closed by the end token, as in TRL. */
export function answerEncoder({
  tokenizer,
  template,
}: AnswerOptions): (row: AnswerRow, number: number) => AnswerTokens {
  let encodeText: ReturnType<typeof completionEncoder> | undefined;
  let opened: ChatTemplate | undefined;
  return ({ prompt, answer, tools }, number) => {
    if (typeof prompt === 'string' && typeof answer === 'string') {
      encodeText ??= completionEncoder(tokenizer);
      return encodeText({ prompt, completion: answer });
    }
    opened ??= template();
    return chatAnswerTokens(
      tokenizer,
      opened,
      { messages: prompt as Exclude<Content, string>, tools },
      answer as Exclude<Content, string>,
      number,
    );
  };
}

/** What is left of an answer. */
export interface CutAnswer extends LabelledTokens {
  readonly isCut: boolean;
  /** Some token of the answer has another in front of it. */
  readonly isLearnt: boolean;
}

/**
 * The tokens that stay, those of the answer labelled with their own ids. `keep_start` drops the end
 * of the answer and leaves nothing to learn where the prompt alone fills `maxLength`; `keep_end`
 * drops the start of the prompt.
 * @throws PEFT_CONFIG_INVALID
 */
export function cutAnswer(
  { ids, start }: AnswerTokens,
  { maxLength, truncation = 'keep_start' }: Pick<AnswerOptions, 'maxLength' | 'truncation'>,
): CutAnswer {
  check.positiveInteger('preference', 'maxLength', maxLength);
  check.oneOf('preference', 'truncation', truncation, TRUNCATIONS);
  const first = truncation === 'keep_end' ? Math.max(0, ids.length - maxLength) : 0;
  const inputIds = ids.slice(first, first + maxLength);
  return {
    inputIds,
    labels: inputIds.map((id, i) => (first + i >= start ? id : NO_LABEL)),
    isCut: ids.length > maxLength,
    isLearnt: inputIds.length > Math.max(1, start - first),
  };
}
