/** Pairs of answers for a reward model: each whole text is scored. */
import {
  eachRow,
  NO_LABEL,
  tokenData,
  type TableWarning,
  type TokenBatch,
  type TokenData,
} from '@peft/data';
import { check, PeftError } from '@peft/errors';
import { answerEncoder, type AnswerOptions } from './answer-encoder.js';
import { leftOutRows } from './left-out-rows.js';
import { reasonAgainst } from './preference-data.js';
import type { PreferenceRow } from './preference-rows.js';

/** Pairs: sequence 2p is the prompt with the chosen answer, 2p + 1 with the rejected one. */
export interface RewardBatch extends TokenBatch {
  /** What the chosen answer is to be ahead by `[P]`. Default 0. */
  readonly margins?: Float32Array;
}

/** Pairs with what became of the rows. */
export interface RewardData extends TokenData<RewardBatch> {
  /** Rows of the source, by row of the data. */
  readonly sources: Int32Array;
  readonly warnings: readonly TableWarning[];
}

/** How pairs of whole texts are made. */
export type RewardDataOptions = Omit<AnswerOptions, 'truncation'> & {
  /** What the chosen answer is to be ahead by, of each row. */
  readonly margins?: ArrayLike<number> | undefined;
  readonly nameOf?: (row: number) => string;
};

/**
 * A text that is longer than `maxLength` is not cut, since a score is that of the whole: its pair
 * is left out, as in TRL, and named by `skipped`; equal and empty answers as in `preferenceData`.
 * @throws PEFT_CONFIG_INVALID, PEFT_CHAT_TEMPLATE, PEFT_TOKENIZER_SPECIAL_MISSING; PEFT_DATA_INVALID
 *   when no pair is left
 */
export async function rewardData(
  rows: readonly PreferenceRow[],
  { margins, ...options }: RewardDataOptions,
): Promise<RewardData> {
  check.positiveInteger('preference', 'maxLength', options.maxLength);
  const encode = answerEncoder(options);
  const leftOut = leftOutRows(options.nameOf);
  const pairs = await eachRow(
    rows,
    ({ prompt, chosen, rejected, tools }, row) => {
      const reason = reasonAgainst(chosen, rejected);
      if (reason) {
        leftOut.add(reason, row);
        return undefined;
      }
      return [chosen, rejected].map((answer) => encode({ prompt, answer, tools }, row).ids);
    },
    options.signal,
  );
  const isLong = (row: number): boolean =>
    (pairs[row] ?? []).some(({ length }) => length > options.maxLength);
  const kept = [...pairs.keys()].filter((row) => pairs[row] && !isLong(row));
  if (kept.length === 0)
    throw new PeftError(
      'PEFT_DATA_INVALID',
      `preference: nothing can be learnt from any of the ${rows.length} rows: ` +
        `${leftOut.rows.length} have equal or empty answers, the others more than ` +
        `${options.maxLength} tokens.`,
      { hint: 'raise the longest length, or look whether the answers are in the right columns' },
    );
  const data = tokenData(
    kept.map((row) =>
      pairs[row]!.map((ids) => ({ inputIds: ids, labels: ids.map(() => NO_LABEL) })),
    ),
    {
      skipped: [...pairs.keys()].filter((row) => !pairs[row] || isLong(row)),
      cut: [...pairs.keys()].filter(isLong),
    },
  );
  return {
    ...data,
    sources: Int32Array.from(kept),
    warnings: leftOut.warnings(rows.length),
    pack: (chosen) => ({
      ...data.pack(chosen),
      margins: margins && Float32Array.from(chosen, (row) => margins[kept[row]!]!),
    }),
  };
}

/** Prompts with one answer each, as a reward model reads them; a longer one loses its end. */
export async function scoredTexts(
  rows: readonly {
    readonly prompt: PreferenceRow['prompt'];
    readonly answer: PreferenceRow['prompt'];
  }[],
  options: Omit<AnswerOptions, 'truncation'>,
): Promise<TokenData> {
  const encode = answerEncoder(options);
  const texts = await eachRow(rows, (row, number) => encode(row, number).ids, options.signal);
  return tokenData(
    texts.map((ids) => {
      const inputIds = ids.slice(0, options.maxLength);
      return [{ inputIds, labels: inputIds.map(() => NO_LABEL) }];
    }),
    { cut: [...texts.keys()].filter((row) => texts[row]!.length > options.maxLength) },
  );
}
