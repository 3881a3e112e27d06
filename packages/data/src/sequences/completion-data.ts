/**
 * Prompts with the text that is to follow, for a causal language model: the loss counts what
 * follows only.
 */
import { check, PeftError } from '@peft/errors';
import type { TextTokenizer } from '../tokenizer/text-tokenizer.js';
import { eachRow } from './each-row.js';
import { closedText } from './plain-text-data.js';
import { endTokenOf, markOnce, specialAround } from './special-around.js';
import {
  NO_LABEL,
  tokenData,
  type LabelledTokens,
  type SourceRows,
  type TokenData,
} from './token-data.js';

/** A prompt and the text that is to follow it. */
export interface Completion {
  readonly prompt: string;
  readonly completion: string;
}

/** How `completionData` cuts and closes its rows. */
export interface CompletionOptions {
  /** Tokens of a row at most; what is longer loses its end. */
  readonly maxLength: number;
  /** Closes each completion. Default: the tokenizer's end token. */
  readonly endId?: number;
  readonly signal?: AbortSignal;
}

/**
 * Prompt and completion are tokenised as one text, so that the model sees what it would see when it
 * writes; the completion begins with the first token that differs from those of the prompt alone.
 * Rows whose prompt leaves no room are left out.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_TOKENIZER_SPECIAL_MISSING, PEFT_DATA_INVALID when no row is
 *   left
 */
export async function completionData(
  rows: readonly Completion[],
  tokenizer: TextTokenizer,
  { maxLength, endId = endTokenOf(tokenizer), signal }: CompletionOptions,
): Promise<TokenData> {
  check.positiveInteger('data', 'maxLength', maxLength);
  const encode = completionEncoder(tokenizer, endId);
  const marked: number[] = [];
  const labelled = await eachRow(
    rows,
    (completion, row) => {
      const { ids, start, isMarked } = encode(completion);
      if (isMarked) marked.push(row);
      return labelFrom(ids, [[start, ids.length]], maxLength);
    },
    signal,
  );
  const blank = [...rows.keys()].filter((row) => rows[row]!.completion.trim() === '');
  return keepLabelled(labelled, { marked, blank });
}

/** Tokens of a text, and where what is learnt of it begins. */
export interface AnswerTokens {
  readonly ids: readonly number[];
  readonly start: number;
}

/**
 * Encodes a prompt and its completion as one text, closed by `endId`.
 * @returns tokens; `isMarked` where the text brought begin or end tokens along.
 */
export function completionEncoder(
  tokenizer: TextTokenizer,
  endId: number = endTokenOf(tokenizer),
): (row: Completion) => AnswerTokens & { readonly isMarked: boolean } {
  const { before } = specialAround(tokenizer);
  return ({ prompt, completion }) => {
    const text = closedText(prompt + completion, tokenizer.idToToken(endId));
    const { ids, isMarked } = markOnce(tokenizer.ids(text), { before, after: [endId] });
    const asked = markOnce(tokenizer.ids(prompt), { before, after: [] }).ids;
    return { ids, start: sharedLength(ids, asked), isMarked };
  };
}

/** How many tokens two texts have in common at their start. */
export function sharedLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}

/** Labelled tokens, and whether there were more. */
export interface CutTokens extends LabelledTokens {
  readonly isCut: boolean;
}

/** The first `maxLength` tokens, those in the ranges `[start, end)` labelled with their own ids. */
export function labelFrom(
  ids: readonly number[],
  ranges: readonly (readonly [number, number])[],
  maxLength: number,
): CutTokens {
  const inputIds = ids.slice(0, maxLength);
  return {
    isCut: ids.length > maxLength,
    inputIds,
    labels: inputIds.map((id, i) =>
      ranges.some(([start, end]) => i >= start && i < end) ? id : NO_LABEL,
    ),
  };
}

/**
 * Rows that have something to predict: a first token has nothing in front of it.
 * @throws PEFT_DATA_INVALID when no row is left
 */
export function keepLabelled(
  rows: readonly CutTokens[],
  { marked = [], blank = [] }: Pick<SourceRows, 'marked' | 'blank'> = {},
): TokenData {
  const isLabelled = ({ labels }: LabelledTokens): boolean =>
    Array.from(labels).some((label, i) => i > 0 && label !== NO_LABEL);
  const skipped = [...rows.keys()].filter((row) => !isLabelled(rows[row]!));
  if (skipped.length === rows.length)
    throw new PeftError(
      'PEFT_DATA_INVALID',
      `data: none of the ${rows.length} rows has an answer within the first tokens that are kept.`,
      { hint: 'raise maxLength, or look whether prompts and answers are in the right columns' },
    );
  return tokenData(
    rows.filter(isLabelled).map((row) => [row]),
    { skipped, marked, blank, cut: [...rows.keys()].filter((row) => rows[row]!.isCut) },
  );
}
