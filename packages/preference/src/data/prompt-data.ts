/** Prompts as the data of a run that samples: what is to be answered, with the cells that rewards read. */
import {
  ends,
  eachRow,
  joined,
  markOnce,
  specialAround,
  type ChatTemplate,
  type TextTokenizer,
} from '@peft/data';
import type { ModelBatch } from '@peft/core';
import { check, PeftError } from '@peft/errors';
import type { Content } from './preference-rows.js';

/** A prompt with all cells of its row. */
export interface PromptRow {
  readonly prompt: Content;
  readonly cells: Readonly<Record<string, unknown>>;
}

/** Prompts, one sequence each. */
export interface PromptBatch extends ModelBatch {
  /** Which row of the data each is. */
  readonly rows: Int32Array;
  readonly sources: readonly PromptRow[];
}

/** Prompts as the data of a training run. */
export interface PromptData {
  /** Tokens of each prompt with a group of completions. */
  readonly lengths: Int32Array;
  /** Rows of the source whose prompt is too long. */
  readonly skipped: readonly number[];
  pack(rows: ArrayLike<number>): PromptBatch;
}

/** How prompts become tokens. */
export interface PromptOptions {
  readonly tokenizer: TextTokenizer;
  /** Writes messages; called for when a row holds some. */
  readonly template: () => ChatTemplate;
  /** Tokens of a prompt with its completion at most. */
  readonly maxLength: number;
  /** Tokens of a completion at most. */
  readonly maxNewTokens: number;
  /** Completions of a prompt. */
  readonly groupSize: number;
  readonly signal?: AbortSignal | undefined;
}

/** The tokens that a model goes on from. */
export function promptTokens(
  prompt: Content,
  { tokenizer, template }: Pick<PromptOptions, 'tokenizer' | 'template'>,
): readonly number[] {
  if (typeof prompt !== 'string')
    return tokenizer.ids(template().render(prompt, { addGenerationPrompt: true }));
  const { before } = specialAround(tokenizer);
  return markOnce(tokenizer.ids(prompt), { before, after: [] }).ids;
}

/**
 * Prompts that leave room for no completion are left out.
 * @throws PEFT_CONFIG_INVALID, PEFT_CHAT_TEMPLATE; PEFT_DATA_INVALID when no prompt is left
 */
export async function promptData(
  rows: readonly PromptRow[],
  options: PromptOptions,
): Promise<PromptData> {
  const { maxLength, maxNewTokens, groupSize } = options;
  for (const [field, value] of Object.entries({ maxLength, maxNewTokens, groupSize }))
    check.positiveInteger('preference', field, value);
  const encoded = await eachRow(
    rows,
    ({ prompt }) => promptTokens(prompt, options),
    options.signal,
  );
  const fits = (row: number): boolean => {
    const { length } = encoded[row]!;
    return length > 0 && length + maxNewTokens <= maxLength;
  };
  const kept = [...encoded.keys()].filter(fits);
  if (kept.length === 0)
    throw new PeftError(
      'PEFT_DATA_INVALID',
      `preference: none of the ${rows.length} prompts leaves room for ${maxNewTokens} new tokens ` +
        `among ${maxLength}.`,
      { hint: 'raise the longest length, or allow fewer new tokens' },
    );
  return {
    lengths: Int32Array.from(kept, (row) => groupSize * (encoded[row]!.length + maxNewTokens)),
    skipped: [...encoded.keys()].filter((row) => !fits(row)),
    pack(chosen) {
      const some = Array.from(chosen, (row) => kept[row]!);
      return {
        inputIds: joined(some.map((row) => encoded[row]!)),
        offsets: ends(some.map((row) => encoded[row]!.length)),
        rows: Int32Array.from(chosen),
        sources: some.map((row) => rows[row]!),
      };
    },
  };
}
