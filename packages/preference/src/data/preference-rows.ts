/**
 * Preferences in the shapes that data sets have: a prompt with two answers, or two texts that begin
 * alike; each as plain text or as messages.
 */
import { readConversation, spellsConversation, type ChatMessage } from '@peft/data';
import { PeftError, show } from '@peft/errors';

/** What stands in a row: a text, or the turns of a conversation. */
export type Content = string | readonly ChatMessage[];

/** A prompt, and an answer to it that is better than another one. All three are of one kind. */
export interface PreferenceRow {
  readonly prompt: Content;
  readonly chosen: Content;
  readonly rejected: Content;
  /** What the assistant of a conversation may call. */
  readonly tools?: readonly unknown[] | undefined;
}

/**
 * A text, or messages: a list of them, or JSON or Python's text of one.
 * @param place names row and column in errors.
 * @throws PEFT_DATA_INVALID
 */
export function readContent(cell: unknown, place: string): Content {
  if (cell === null || cell === undefined)
    throw new PeftError('PEFT_DATA_INVALID', `preference: ${place} is empty.`, {
      hint: 'fill or remove such rows',
    });
  if (typeof cell === 'string')
    return spellsConversation(cell) ? readConversation(cell, place) : cell;
  return Array.isArray(cell) ? readConversation(cell, place) : String(cell as number);
}

/**
 * The cells of a row. Without a prompt it is what both answers begin with: the turns, or the
 * characters, that they share, a blank before the first difference being the answers'. An answer
 * keeps at least one turn or character (TRL's `extract_prompt`).
 *
 * @param place names the row in errors.
 * @throws PEFT_DATA_INVALID for a missing cell, PEFT_PREFERENCE_PROMPT where texts and messages are
 *   mixed, or the answers belong to prompts that differ
 */
export function readPreference(
  {
    prompt,
    chosen,
    rejected,
    tools,
  }: {
    prompt?: unknown;
    chosen: unknown;
    rejected: unknown;
    tools?: readonly unknown[] | undefined;
  },
  place: string,
): PreferenceRow {
  const answers = [
    readContent(chosen, `the chosen answer of ${place}`),
    readContent(rejected, `the rejected answer of ${place}`),
  ] as const;
  if (prompt !== undefined) {
    const given = readContent(prompt, `the prompt of ${place}`);
    requireOneKind([given, ...answers], place);
    answers.forEach((answer) => requireLearnt(answer, place));
    return { prompt: given, chosen: answers[0], rejected: answers[1], tools };
  }
  requireOneKind(answers, place);
  const row = splitPrompt(...answers);
  if (row.prompt.length === 0 || asksAgain(row.chosen) || asksAgain(row.rejected))
    throw promptError(
      `the chosen and the rejected answer of ${place} belong to prompts that differ`,
      'compare answers to one prompt: begin both with it, or give it in a column of its own',
    );
  for (const answer of [row.chosen, row.rejected]) requireLearnt(answer, place);
  return { ...row, tools };
}

/** An answer is learnt as a whole. @throws PEFT_DATA_INVALID for a turn of it that is marked as not learnt */
export function requireLearnt(answer: Content, place: string): void {
  if (typeof answer === 'string' || answer.every(({ weight }) => weight !== 0)) return;
  throw new PeftError(
    'PEFT_DATA_INVALID',
    `preference: an answer of ${place} has a turn that is marked as not learnt (weight or train).`,
    { hint: 'move it to the prompt, or leave the mark out' },
  );
}

/** @throws PEFT_PREFERENCE_PROMPT */
export function requireOneKind(contents: readonly Content[], place: string): void {
  if (new Set(contents.map((content) => typeof content)).size === 1) return;
  throw promptError(
    `${place} mixes texts and messages: ${contents.map((content) => show(content)).join(', ')}`,
    'give prompt and answers as texts, or all of them as lists of messages',
  );
}

const promptError = (what: string, hint: string): PeftError =>
  new PeftError('PEFT_PREFERENCE_PROMPT', `preference: ${what}.`, { hint });

/** Answers begin with what the model writes, not with another question. */
const asksAgain = (answer: Content): boolean =>
  typeof answer !== 'string' && answer[0]?.role === 'user';

function splitPrompt(chosen: Content, rejected: Content): PreferenceRow {
  const end = Math.min(chosen.length, rejected.length) - 1;
  let shared = 0;
  while (shared < end && isSame(chosen[shared], rejected[shared])) shared += 1;
  const differs = !isSame(chosen[shared], rejected[shared]);
  if (differs && shared > 0 && chosen[shared - 1] === ' ') shared -= 1;
  return {
    prompt: chosen.slice(0, shared),
    chosen: chosen.slice(shared),
    rejected: rejected.slice(shared),
  };
}

const isSame = (a: unknown, b: unknown): boolean =>
  typeof a === 'string' ? a === b : JSON.stringify(a) === JSON.stringify(b);

/** Whether an answer says nothing. */
export const isEmpty = (answer: Content): boolean =>
  typeof answer === 'string'
    ? answer.trim() === ''
    : answer.every(({ content, tool_calls: calls }) => (content ?? '').trim() === '' && !calls);

/** Whether two answers are the same. */
export const isEqual = (a: Content, b: Content): boolean => JSON.stringify(a) === JSON.stringify(b);
